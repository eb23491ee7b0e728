import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { get, type IncomingMessage } from "node:http"
import { connect, type ClientHttp2Session } from "node:http2"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { text } from "node:stream/consumers"
import { afterAll, describe, expect, test } from "vitest"

import { run, start, until } from "../support/run.ts"
import { binary, root, Server } from "../support/server.ts"

const folder = mkdtempSync(join(tmpdir(), "floe-serve-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test("a first start greets with three commands that work", async () => {
  const data = join(folder, "greeting")
  // Without a command it serves.
  const server = start(binary(), ["--listen", "127.0.0.1:0", "--data", data])
  await until("the greeting", () => server.soFar.err.includes("Ctrl-C stops it"))
  expect(server.soFar.err).toContain(data)
  const commands = server.soFar.err.match(/^ +curl .*$/gm) ?? []
  expect(commands).toHaveLength(3)
  const [create, append, follow] = commands.map((command) => command.trim())
  expect(await shell(create)).toMatchObject({ code: 0, out: "" })
  expect(await shell(append)).toMatchObject({ code: 0, out: "" })
  const following = start("bash", ["-c", `exec ${follow}`])
  await until("the message", () => /^data: ?first message$/m.test(following.soFar.out))

  server.kill("SIGINT")
  expect((await server.ended).code).toBe(0)
  // The reader was told to come back: its answer ended as an answer should.
  expect((await following.ended).code).toBe(0)
})

test("the five minutes of curl in the README work as written", async () => {
  const server = await Server.start({ options: ["--long-poll-timeout-ms", "300"] })
  const readme = readFileSync(join(root, "README.md"), "utf8")
  const block = /## Five minutes of curl\s+```sh\n(.*?)```/s.exec(readme)?.[1] ?? ""
  const script = block.replaceAll("http://127.0.0.1:4437", server.url)
  const commands = script.replaceAll("\\\n", " ").match(/^curl .*$/gm) ?? []
  expect(commands.length).toBeGreaterThan(8)
  const assignment = script.match(/^S=.*$/m)?.[0] ?? ""
  for (const command of commands) {
    const isLive = command.includes("live=sse")
    // A live answer goes on for a minute: half a second of it will do.
    const limit = isLive ? "--max-time 0.5" : "--fail-with-body"
    const result = await shell(`${assignment}; ${command.replace("curl", `curl -sS ${limit}`)}`)
    expect(result, command).toMatchObject({ code: isLive ? 28 : 0 })
    expect(result.out, command).not.toContain('"code":')
    if (isLive) expect(result.out).toContain("event: control")
  }
  await server.dispose()
})

test("the five minutes of channels in the README work as written", async () => {
  const server = await Server.start()
  const readme = readFileSync(join(root, "README.md"), "utf8")
  const block = /## Five minutes of channels\s+```sh\n(.*?)```/s.exec(readme)?.[1] ?? ""
  const script = block.replaceAll("http://127.0.0.1:4437", server.url).replaceAll("\\\n", " ")
  const base = script.match(/^S=.*$/m)?.[0] ?? ""
  const created = await shell(`${base}; ${script.match(/^ID=.*$/m)?.[0] ?? ""}; echo $ID`)
  expect(created.out).toMatch(/^[0-9a-f]{12}\n$/)
  const commands = script.match(/^curl .*$/gm) ?? []
  expect(commands.length).toBeGreaterThan(5)
  for (const command of commands) {
    const isLive = command.startsWith("curl -N")
    const limit = isLive ? "--max-time 0.5" : "--fail-with-body"
    const asked = command.replace("curl", `curl -sS ${limit}`)
    const result = await shell(`${base}; ID=${created.out.trim()}; ${asked}`)
    expect(result, command).toMatchObject({ code: isLive ? 28 : 0 })
    expect(result.out, command).not.toContain('"code":')
    expect(result.out, command).toContain(created.out.trim())
  }
  await server.dispose()
})

test("the five minutes of tables in the README work as written", async () => {
  const server = await Server.start()
  const readme = readFileSync(join(root, "README.md"), "utf8")
  const block = /## Five minutes of tables\s+```sh\n(.*?)```/s.exec(readme)?.[1] ?? ""
  const script = block.replaceAll("http://127.0.0.1:4437", server.url)
  const base = script.match(/^S=.*$/m)?.[0] ?? ""
  const commands = script.match(/^curl .*$/gm) ?? []
  expect(commands).toHaveLength(6)
  let last = ""
  for (const command of commands) {
    const result = await shell(`${base}; ${command.replace("curl", "curl -sS --fail-with-body")}`)
    expect(result, command).toMatchObject({ code: 0 })
    expect(result.out, command).not.toContain('"code":')
    last = result.out
  }
  expect(last).toContain('"value":{"id":1,"text":"hello"}')
  await server.dispose()
})

test("health and metrics answer", async () => {
  const server = await Server.start()
  expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  expect(metrics).toMatch(/^floe_\w+/m)
  await server.dispose()
})

describe("a stop with readers connected", () => {
  test.each(["SIGTERM", "SIGINT"] as const)("by %s ends their answers and exits with 0", async (signal) => {
    const server = await Server.start()
    const url = server.stream("serve/readers")
    await fetch(url, { method: "PUT", headers: { "content-type": "text/plain" } })
    const tail = (await fetch(url, { method: "HEAD" })).headers.get("stream-next-offset")

    const events = await Promise.all(
      Array.from({ length: 20 }, () => open(`${url}?offset=-1&live=sse`)),
    )
    const polls = Array.from({ length: 20 }, () => open(`${url}?offset=${tail}&live=long-poll`))
    const session = connect(server.url)
    const [multiplexed, multiplexedPoll] = [
      openStream(session, "/v1/stream/serve/readers?offset=-1&live=sse"),
      openStream(session, `/v1/stream/serve/readers?offset=${tail}&live=long-poll`),
    ]
    await multiplexed.head
    // The polls have no head yet: a request on the same server tells that they have arrived.
    await readersAtLeast(server, 42)

    process.kill(server.pid, signal)
    for (const answer of events) {
      expect(await text(answer)).toContain("event: control")
      expect(answer.complete).toBe(true)
    }
    for (const poll of polls) {
      const answer = await poll
      expect(answer.statusCode).toBe(204)
      expect(answer.headers["stream-next-offset"]).toBe(tail)
      answer.resume()
    }
    expect(await multiplexed.body).toContain("event: control")
    expect(await multiplexedPoll.head).toMatchObject({ ":status": 204 })
    expect(await server.exit).toEqual({ code: 0, signal: null })
    session.destroy()
    await server.dispose()
  })

  test("keeps what was acknowledged just before", async () => {
    const server = await Server.start()
    const url = server.stream("serve/last")
    const headers = { "content-type": "application/json" }
    await fetch(url, { method: "PUT", headers })
    for (let index = 0; index < 10; index += 1) {
      await fetch(url, { method: "POST", headers, body: String(index) })
      if (index % 3 !== 0) continue
      expect(await server.stop()).toEqual({ code: 0, signal: null })
      await server.restart()
    }
    expect(await (await fetch(url)).json()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    await server.dispose()
  })
})

test("a second server over the same folder is refused", async () => {
  const server = await Server.start()
  const second = await run(binary(), ["serve", "--listen", "127.0.0.1:0", "--data", server.data])
  expect(second).toMatchObject({ code: 1, err: expect.stringContaining("floe: ") })
  await server.dispose()
})

function shell(command: string | undefined) {
  return run("bash", ["-c", command ?? "exit 99"])
}

/** Begins a request on a connection of its own and resolves with the head of its answer. */
function open(url: string): Promise<IncomingMessage> {
  return new Promise((done, fail) => get(url, { agent: false }, done).on("error", fail))
}

function openStream(session: ClientHttp2Session, path: string) {
  const stream = session.request({ ":path": path })
  const head = new Promise((done, fail) => stream.on("response", done).on("error", fail))
  return { head, body: text(stream) }
}

async function readersAtLeast(server: Server, count: number) {
  let readers = 0
  for (let tries = 0; readers < count; tries += 1) {
    if (tries > 500) throw new Error(`only ${readers} of ${count} readers are there`)
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    readers = [...metrics.matchAll(/^floe_live_readers\S* (\d+)/gm)].reduce(
      (sum, found) => sum + Number(found[1]),
      0,
    )
  }
}
