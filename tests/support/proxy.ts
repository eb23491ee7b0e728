import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net"

import { Random } from "./random.ts"

/**
 * A TCP proxy that cuts connections: some before the server has heard a request, some after it
 * has answered and before the client knows. The second kind makes duplicates of whoever retries.
 */
export class FlakyProxy {
  /** Requests that never reached the server, and answers that never reached the client. */
  readonly cuts = { requests: 0, answers: 0 }
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(server: Server) {
    this.#server = server
  }

  /** Passes on to `port`, cutting each chunk of bytes with `probability` in either direction. */
  static async start(port: number, probability: number, seed: number): Promise<FlakyProxy> {
    const random = new Random(seed)
    const server = createServer((client) => {
      const upstream = connect(port, "127.0.0.1")
      proxy.#keep(client)
      proxy.#keep(upstream)
      const cut = () => {
        client.resetAndDestroy()
        upstream.destroy()
      }
      client.on("data", (bytes) => {
        if (random.chance(probability)) {
          proxy.cuts.requests += 1
          cut()
        } else {
          upstream.write(bytes)
        }
      })
      upstream.on("data", (bytes) => {
        if (random.chance(probability)) {
          proxy.cuts.answers += 1
          cut()
        } else {
          client.write(bytes)
        }
      })
      client.on("close", () => upstream.end())
      upstream.on("close", () => client.end())
    })
    const proxy = new FlakyProxy(server)
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((done) => this.#server.close(done))
  }

  #keep(socket: Socket) {
    this.#sockets.add(socket)
    // A cut connection is what this is for; its `close` does the rest.
    socket.on("error", () => {})
    socket.on("close", () => this.#sockets.delete(socket))
  }
}
