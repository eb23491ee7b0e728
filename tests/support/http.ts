import { Agent, request as begin, type IncomingHttpHeaders, type IncomingMessage } from "node:http"

/** Plain requests over connections that are kept, without retries and without interpretation. */
export class Http {
  readonly #origin: string
  readonly #agent = new Agent({ keepAlive: true })

  constructor(origin: string) {
    this.#origin = origin
  }

  /** Sends one request; rejects with `ConnectionLost` when no whole answer comes. */
  async send(request: Request): Promise<Answer> {
    const message = await this.open(request)
    const pieces: Buffer[] = []
    try {
      for await (const piece of message) pieces.push(piece as Buffer)
    } catch (error) {
      throw new ConnectionLost(request, error)
    }
    return answerOf(message, Buffer.concat(pieces))
  }

  /** Sends one request and resolves with its answer as soon as the head is there. */
  open(request: Request): Promise<IncomingMessage> {
    return new Promise((done, fail) => {
      const body = request.body === undefined ? undefined : Buffer.from(request.body)
      const headers = { ...request.headers }
      if (body !== undefined) headers["content-length"] = String(body.length)
      const sent = begin(this.#origin + request.path, {
        method: request.method,
        headers,
        agent: this.#agent,
      })
      sent.on("response", done)
      sent.on("error", (error) => fail(new ConnectionLost(request, error)))
      sent.end(body)
    })
  }

  /** Ends every connection. */
  close(): void {
    this.#agent.destroy()
  }
}

export interface Request {
  method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE"
  /** Path and query. */
  path: string
  headers?: Record<string, string>
  body?: string | Uint8Array
}

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
}

/** The connection ended before the answer did: the request may or may not have been carried out. */
export class ConnectionLost extends Error {
  constructor(request: Request, cause: unknown) {
    super(`no answer to ${request.method} ${request.path}: ${String(cause)}`, { cause })
    this.name = "ConnectionLost"
  }
}

/** The value of a header that comes once, or `undefined`. */
export function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name.toLowerCase()]
  return Array.isArray(value) ? value.join(", ") : value
}

function answerOf(message: IncomingMessage, body: Buffer): Answer {
  return { status: message.statusCode ?? 0, headers: message.headers, body }
}
