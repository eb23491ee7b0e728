import { type ChildProcess, spawn } from "node:child_process"
import { createServer, type AddressInfo } from "node:net"

import { cleanEnvironment } from "./server.ts"

/** An S3 server of its own in a process of its own, with one bucket; it forgets all at its end. */
export class Moto {
  readonly bucket = "floe-cold"
  readonly #process: ChildProcess
  readonly #port: number

  private constructor(process: ChildProcess, port: number) {
    this.#process = process
    this.#port = port
  }

  static async start(): Promise<Moto> {
    const program = process.env["FLOE_MOTO"]
    if (program === undefined) throw new Error("FLOE_MOTO is not set: run ./test cold")
    const port = await freePort()
    const started = spawn(program, ["-H", "127.0.0.1", "-p", String(port)], {
      stdio: "ignore",
      env: cleanEnvironment(),
    })
    process.once("exit", () => started.kill("SIGKILL"))
    const moto = new Moto(started, port)
    const deadline = Date.now() + START_MS_MAX
    for (;;) {
      const made = await fetch(`${moto.url}/${moto.bucket}`, { method: "PUT" }).catch(() => undefined)
      if (made?.ok === true) return moto
      if (Date.now() > deadline) throw new Error("the S3 server does not start")
      await new Promise((done) => setTimeout(done, 50))
    }
  }

  get port(): number {
    return this.#port
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Keys of all objects. */
  async keys(): Promise<string[]> {
    const answer = await fetch(`${this.url}/${this.bucket}?list-type=2`)
    const text = await answer.text()
    return [...text.matchAll(/<Key>(.*?)<\/Key>/g)].map((found) => found[1] ?? "")
  }

  stop(): void {
    this.#process.kill("SIGKILL")
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  const { port } = server.address() as AddressInfo
  await new Promise((done) => server.close(done))
  return port
}

const START_MS_MAX = 25_000
