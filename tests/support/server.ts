import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { fileURLToPath } from "node:url"

/** A server process of ours, its data folder and its address; all three outlive a restart. */
export class Server {
  readonly data: string
  readonly #options: readonly string[]
  readonly #ownsData: boolean
  #process: ChildProcess
  #exit: Promise<Exit>
  #log: string[] = []
  #listening: Promise<string>
  #address = ""

  private constructor(options: ServerOptions) {
    this.#ownsData = options.data === undefined
    this.data = options.data ?? mkdtempSync(join(tmpdir(), "floe-test-"))
    this.#options = options.options ?? []
    const listen = options.listen ?? "127.0.0.1:0"
    ;[this.#process, this.#exit, this.#listening] = this.#spawn(listen)
  }

  /** Starts a server and waits until it listens. */
  static async start(options: ServerOptions = {}): Promise<Server> {
    const server = new Server(options)
    server.#address = await server.#listening
    return server
  }

  get url(): string {
    return `http://${this.#address}`
  }

  get host(): string {
    return this.#address.slice(0, this.#address.lastIndexOf(":"))
  }

  get port(): number {
    return Number(this.#address.slice(this.#address.lastIndexOf(":") + 1))
  }

  get pid(): number {
    return this.#process.pid ?? -1
  }

  /** URL of the stream at `path`. */
  stream(path: string): string {
    return `${this.url}/v1/stream/${path}`
  }

  /** What the server wrote to stderr, newest last. */
  get log(): string {
    return this.#log.join("")
  }

  /** Asks the server to stop and waits for its end. */
  async stop(): Promise<Exit> {
    this.#process.kill("SIGTERM")
    return this.#exit
  }

  /** Ends the server where it stands, as a power cut of its process. */
  async kill(): Promise<Exit> {
    this.#process.kill("SIGKILL")
    return this.#exit
  }

  /** Resolves when the process is gone. */
  get exit(): Promise<Exit> {
    return this.#exit
  }

  /** Starts again at the same address over the same data; the process before must be gone. */
  async restart(): Promise<void> {
    this.beginRestart()
    await this.#listening
  }

  /** Like `restart`, but returns before the server listens. */
  beginRestart(): void {
    ;[this.#process, this.#exit, this.#listening] = this.#spawn(this.#address)
    // Whoever kills it while it starts does not wait for it.
    this.#listening.catch(() => {})
  }

  /** Ends the process and removes the data folder if the server made it. */
  async dispose(): Promise<void> {
    await this.kill()
    if (this.#ownsData) {
      rmSync(this.data, { recursive: true, force: true })
    }
  }

  #spawn(listen: string): [ChildProcess, Promise<Exit>, Promise<string>] {
    const started = spawn(
      binary(),
      ["serve", "--listen", listen, "--data", this.data, "--log-format", "json", ...this.#options],
      { stdio: ["ignore", "ignore", "pipe"], env: cleanEnvironment() },
    )
    const exit = new Promise<Exit>((done, fail) => {
      started.once("error", fail)
      started.once("exit", (code, signal) => done({ code, signal }))
    })
    exit.catch(() => {})
    const listening = new Promise<string>((found, fail) => {
      let pending = ""
      started.stderr?.setEncoding("utf8").on("data", (text: string) => {
        this.#log.push(text)
        this.#log.splice(0, this.#log.length - LOG_PIECES_MAX)
        pending += text
        const lines = pending.split("\n")
        pending = lines.pop() ?? ""
        for (const line of lines) {
          const address = addressIn(line)
          if (address !== undefined) found(address)
        }
      })
      const late = setTimeout(() => fail(new Error(`no server yet:\n${this.log}`)), START_MS_MAX)
      late.unref()
      exit.then(
        (end) => fail(new Error(`server ended (${JSON.stringify(end)}):\n${this.log}`)),
        fail,
      )
    })
    children.add(started)
    exit.finally(() => children.delete(started)).catch(() => {})
    return [started, exit, listening]
  }
}

export interface ServerOptions {
  /** Data folder; without it a temporary one that `dispose` removes. */
  data?: string
  /** Address; without it a free port of 127.0.0.1. */
  listen?: string
  /** More arguments of `floe serve`. */
  options?: readonly string[]
}

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

/** Path of the program under test. */
export function binary(): string {
  const path = process.env["FLOE_BINARY"] ?? join(targetFolder(), "debug", "floe")
  if (!existsSync(path)) throw new Error(`${path} is missing: run ./test, or cargo build`)
  return path
}

/** The environment without settings of Floe, so that every test starts from the defaults. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith("FLOE_"))
  return Object.fromEntries(entries)
}

function targetFolder(): string {
  return resolve(root, process.env["CARGO_TARGET_DIR"] ?? "target")
}

function addressIn(line: string): string | undefined {
  if (!line.includes('"listening"')) return undefined
  const event: unknown = JSON.parse(line)
  if (typeof event !== "object" || event === null) return undefined
  const address = "address" in event ? event.address : undefined
  return typeof address === "string" ? address : undefined
}

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))

const START_MS_MAX = 20_000
const LOG_PIECES_MAX = 200

// A test that fails must not leave servers behind.
const children = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL")
})
