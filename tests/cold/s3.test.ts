import { connect, createServer, type Server as TcpServer, type Socket } from "node:net"
import { readdirSync } from "node:fs"
import { afterAll, beforeAll, expect, test } from "vitest"

import { Moto } from "../support/moto.ts"
import { run } from "../support/run.ts"
import { binary, Server } from "../support/server.ts"

const SECRET = "a-secret-that-must-not-be-shown"
const credentials = { AWS_ACCESS_KEY_ID: "floe-test-key", AWS_SECRET_ACCESS_KEY: SECRET }

let moto: Moto
beforeAll(async () => {
  Object.assign(process.env, credentials)
  moto = await Moto.start()
})
afterAll(() => moto.stop())

/** Lets the server reach the store, or not. */
class Line {
  readonly #server: TcpServer
  readonly #sockets = new Set<Socket>()
  isCut = false

  private constructor(server: TcpServer) {
    this.#server = server
  }

  static async to(port: number): Promise<Line> {
    const server = createServer((client) => {
      if (line.isCut) return client.resetAndDestroy()
      const upstream = connect(port, "127.0.0.1")
      for (const socket of [client, upstream]) {
        line.#sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => line.#sockets.delete(socket))
      }
      client.pipe(upstream).pipe(client)
    })
    const line = new Line(server)
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
    return line
  }

  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === "string") throw new Error("it does not listen")
    return `http://127.0.0.1:${address.port}`
  }

  cut(): void {
    this.isCut = true
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  mend(): void {
    this.isCut = false
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}

function options(endpoint: string, prefix: string): string[] {
  return [
    ["--cold", `s3://${moto.bucket}/${prefix}`],
    ["--cold-endpoint", endpoint],
    ["--cold-hot-bytes-max", "0"],
    ["--cold-age-min-ms", "0"],
    ["--cold-segment-bytes-min", "0"],
    ["--cold-part-bytes", "262144"],
    ["--flush-bytes", "400000"],
  ].flat()
}

async function metric(server: Server, name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text()
  return Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1])
}

async function eventually(what: string, isTrue: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!(await isTrue())) {
    if (Date.now() > deadline) throw new Error(`${what} did not happen`)
    await new Promise((done) => setTimeout(done, 50))
  }
}

const segments = (server: Server) =>
  readdirSync(server.data).filter((name) => name.startsWith("seg-")).length

/** Message number `n`, of ten thousand bytes. */
const message = (n: number) => `${String(n).padStart(6, "0")}${"x".repeat(9_993)}\n`

async function append(server: Server, from: number, to: number): Promise<void> {
  const headers = { "content-type": "text/plain" }
  for (let n = from; n < to; n++) {
    const body = message(n)
    const answer = await fetch(server.stream("log"), { method: "POST", headers, body })
    expect(answer.status).toBe(204)
  }
}

async function fill(server: Server, count: number): Promise<void> {
  const headers = { "content-type": "text/plain" }
  expect((await fetch(server.stream("log"), { method: "PUT", headers })).status).toBe(201)
  await append(server, 0, count)
  await eventually("the move", async () => {
    return segments(server) === 0 && (await metric(server, "floe_cold_segments")) > 0
  })
}

/** Reads the whole stream, piece by piece. */
async function readAll(server: Server): Promise<string> {
  let [text, offset] = ["", "-1"]
  for (;;) {
    const answer = await fetch(`${server.stream("log")}?offset=${offset}`)
    expect(answer.status).toBe(200)
    text += await answer.text()
    offset = answer.headers.get("stream-next-offset") ?? ""
    if (answer.headers.get("stream-up-to-date") === "true") return text
  }
}

const messages = (count: number) => Array.from({ length: count }, (_, n) => message(n)).join("")

test("old data moves to a bucket and is read from there, before and after a restart", async () => {
  const server = await Server.start({ options: options(moto.url, "first/part") })
  await fill(server, 120)
  const keys = await moto.keys()
  expect(keys.length).toBeGreaterThan(3)
  for (const key of keys) {
    expect(key).toMatch(/^first\/part\/[0-9a-f]{32}\/[0-9a-f]{8}-[0-9a-f]{16}\/[0-9a-f]{4}$/)
  }
  expect(await readAll(server)).toBe(messages(120))
  await server.kill()
  await server.restart()
  expect(await readAll(server)).toBe(messages(120))
  expect(server.log).not.toContain(SECRET)
  expect(server.log).not.toContain("Signature=")

  await server.stop()
  const inspect = ["inspect", server.data, "--verify"]
  const unchecked = await run(binary(), inspect)
  expect(unchecked).toMatchObject({ code: 0 })
  expect(unchecked.out).toContain("not checked in the store")
  const store = options(moto.url, "first/part").slice(0, 4)
  const checked = await run(binary(), [...inspect, ...store])
  expect(checked).toMatchObject({ code: 0 })
  expect(checked.out).toMatch(/\d+ cold segments checked in the store/)
  await server.dispose()
})

test("a deleted stream leaves the bucket", async () => {
  const server = await Server.start({ options: options(moto.url, "second") })
  await fill(server, 100)
  const kept = async () => (await moto.keys()).filter((key) => key.startsWith("second/")).length
  const before = await kept()
  await fetch(server.stream("log"), { method: "DELETE" })
  const headers = { "content-type": "text/plain" }
  await fetch(server.stream("other"), { method: "PUT", headers })
  for (let n = 0; n < 50; n++) {
    await fetch(server.stream("other"), { method: "POST", headers, body: message(n) })
  }
  await eventually("the removal", async () => (await kept()) < before)
  await server.dispose()
})

test("a store that cannot be reached fails reads of old data alone", async () => {
  const line = await Line.to(moto.port)
  const server = await Server.start({ options: options(line.url, "third") })
  await fill(server, 60)
  line.cut()
  const refused = await fetch(`${server.stream("log")}?offset=-1`)
  expect(refused.status).toBe(503)
  expect(refused.headers.get("retry-after")).toBe("1")
  expect(await refused.json()).toMatchObject({ code: "COLD_UNAVAILABLE" })
  await append(server, 60, 120)
  const tail = `${server.stream("log")}?offset=${String(119 * 10_000).padStart(16, "0")}`
  expect(await (await fetch(tail)).text()).toBe(message(119))
  await eventually("a failure", async () => (await metric(server, "floe_cold_failures_total")) > 1)
  expect(await metric(server, "floe_cold_lag_bytes")).toBeGreaterThan(0)

  line.mend()
  await eventually("the move", () => segments(server) === 0)
  expect(await readAll(server)).toBe(messages(120))
  expect(server.log).not.toContain(SECRET)
  expect(server.log).not.toContain("Signature=")
  await server.dispose()
  line.close()
})

test("a server without credentials says so and does not start", async () => {
  const named = Object.keys(credentials)
  for (const name of named) delete process.env[name]
  const started = await run(binary(), ["serve", "--data", "/nonexistent/x", "--cold", "s3://bucket"])
  Object.assign(process.env, credentials)
  expect(started.code).not.toBe(0)
  expect(started.err).toContain("AWS_ACCESS_KEY_ID")
})
