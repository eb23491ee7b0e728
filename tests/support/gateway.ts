import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { connect, constants, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2"
import type { AddressInfo } from "node:net"

/** Takes HTTP/1.1 and passes it on as HTTP/2 in clear text, all over one connection. */
export class Gateway {
  readonly #server: Server
  readonly #session: ClientHttp2Session

  private constructor(server: Server, session: ClientHttp2Session) {
    this.#server = server
    this.#session = session
  }

  static async start(target: string): Promise<Gateway> {
    const session = connect(target)
    // Requests under way report what ends the session.
    session.on("error", () => {})
    const server = createServer((request, response) => pass(session, request, response))
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
    return new Gateway(server, session)
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo
    return `http://127.0.0.1:${port}`
  }

  async close(): Promise<void> {
    this.#session.destroy()
    this.#server.closeAllConnections()
    await new Promise((done) => this.#server.close(done))
  }
}

function pass(session: ClientHttp2Session, request: IncomingMessage, response: ServerResponse) {
  const hasBody = "transfer-encoding" in request.headers || "content-length" in request.headers
  const stream = session.request(
    {
      ...withoutHopByHop(request.headers),
      ":method": request.method ?? "GET",
      ":path": request.url ?? "/",
      ":authority": request.headers.host ?? "",
    },
    { endStream: !hasBody },
  )
  if (hasBody) request.pipe(stream)

  stream.on("response", (headers) => {
    const { ":status": status, ...rest } = headers
    response.writeHead(status ?? 502, withoutHopByHop(rest))
    // The head of a live answer counts even while there is no data.
    response.flushHeaders()
    stream.pipe(response)
  })
  stream.on("error", () => response.destroy())
  stream.on("close", () => response.destroyed || response.writableEnded || response.destroy())
  response.on("close", () => stream.close(constants.NGHTTP2_CANCEL))
}

function withoutHopByHop(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  const kept = Object.entries(headers).filter(
    (entry): entry is [string, string | string[]] =>
      entry[1] !== undefined && !entry[0].startsWith(":") && !HOP_BY_HOP.has(entry[0]),
  )
  return Object.fromEntries(kept)
}

const HOP_BY_HOP = new Set(["connection", "host", "keep-alive", "transfer-encoding", "upgrade"])
