import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"

import { serverOfFile } from "../support/fixture.ts"
import { floe, run, start, until } from "../support/run.ts"
import { binary, Server } from "../support/server.ts"

const server = serverOfFile()
const folder = mkdtempSync(join(tmpdir(), "floe-commands-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const COMMANDS = ["serve", "tail", "append", "sql", "import", "export", "inspect", "namespace", "key", "token", "bench", "completions", "man"]

describe("floe tells about itself", () => {
  test("--help lists every command and every exit code", async () => {
    const { code, out } = await floe(["--help"])
    expect(code).toBe(0)
    for (const command of COMMANDS) expect(out).toMatch(new RegExp(`^ +${command} `, "m"))
    expect(out).toContain("Exit codes:")
  })

  test.each(COMMANDS)("%s has a help of its own", async (command) => {
    const { code, out } = await floe([command, "--help"])
    expect(code).toBe(0)
    expect(out).toContain(`Usage: floe ${command}`)
  })

  test("--version names the program", async () => {
    expect(await floe(["--version"])).toMatchObject({ code: 0, out: expect.stringMatching(/^floe \d/) })
  })

  test("a wrong command line ends with 2", async () => {
    expect(await floe(["nonsense"])).toMatchObject({ code: 2, out: "" })
    expect(await floe(["tail"])).toMatchObject({ code: 2, out: "" })
  })

  test.each(["bash", "zsh", "fish"])("completions for %s name the commands", async (shell) => {
    const { code, out } = await floe(["completions", shell])
    expect(code).toBe(0)
    for (const command of COMMANDS) expect(out).toContain(command)
    if (shell !== "bash") return
    const script = join(folder, "completions")
    writeFileSync(script, out)
    expect(await run("bash", ["-n", script])).toMatchObject({ code: 0, err: "" })
  })

  test("man prints a page and writes all of them", async () => {
    expect(await floe(["man"])).toMatchObject({ code: 0, out: expect.stringContaining(".TH floe") })
    const pages = join(folder, "man")
    expect(await floe(["man", pages])).toMatchObject({ code: 0 })
    expect(readdirSync(pages)).toEqual(expect.arrayContaining(["floe.1", "floe-serve.1"]))
  })
})

describe("append and tail", () => {
  test("carry lines there and back", async () => {
    const url = server().stream("commands/lines")
    const appended = await floe(["append", url, "--create", "--lines"], "one\ntwo\n")
    expect(appended).toMatchObject({ code: 0 })
    expect(await floe(["tail", url, "--no-follow"])).toMatchObject({ code: 0, out: "one\ntwo\n" })
  })

  test("carry JSON there and back", async () => {
    const url = server().stream("commands/json")
    const values = '{"n": 1}\n[2,3]\n"four"\n'
    expect(await floe(["append", url, "--create", "--json"], values)).toMatchObject({ code: 0 })
    const { code, out } = await floe(["tail", url, "--no-follow", "--json"])
    expect(code).toBe(0)
    const pieces = out.trimEnd().split("\n").map((line) => JSON.parse(line) as { values: unknown[] })
    expect(pieces.flatMap((piece) => piece.values)).toEqual([{ n: 1 }, [2, 3], "four"])
  })

  test("carry bytes as they are", async () => {
    const url = server().stream("commands/bytes")
    expect(await floe(["append", url, "--create", "--close"], "no line end")).toMatchObject({ code: 0 })
    // A closed stream ends the follower.
    expect(await floe(["tail", url])).toMatchObject({ code: 0, out: "no line end" })
  })

  test("say what is refused, and end with 1", async () => {
    const missing = server().stream("commands/missing")
    for (const result of [await floe(["tail", missing]), await floe(["append", missing], "text")]) {
      expect(result).toMatchObject({ code: 1, out: "", err: expect.stringContaining("floe: ") })
    }
  })

  test("a follower goes on over a restart", async () => {
    const restarted = await Server.start()
    const url = restarted.stream("commands/restart")
    await floe(["append", url, "--create", "--lines"], "before\n")
    const tail = start(binary(), ["tail", url])
    await until("the first line", () => tail.soFar.out === "before\n")
    for (const how of ["stop", "kill"] as const) {
      await restarted[how]()
      await restarted.restart()
      await floe(["append", url, "--lines"], `after ${how}\n`)
      await until("the next line", () => tail.soFar.out.endsWith(`after ${how}\n`))
    }
    await floe(["append", url, "--close"], "end\n")
    expect(await tail.ended).toMatchObject({
      code: 0,
      out: "before\nafter stop\nafter kill\nend\n",
    })
    await restarted.dispose()
  })
})

describe("inspect", () => {
  test("shows what a folder holds and finds a changed byte", async () => {
    const data = join(folder, "inspected")
    const stopped = await Server.start({ data })
    const url = stopped.stream("commands/inspected")
    await floe(["append", url, "--create", "--lines"], "a line to be found\n")
    await stopped.stop()

    const listed = await floe(["inspect", data, "--json"])
    expect(listed.code).toBe(0)
    const { streams } = JSON.parse(listed.out) as { streams: { name: string }[] }
    expect(streams.map((stream) => stream.name)).toContain("commands/inspected")
    expect(await floe(["inspect", data, "--verify"])).toMatchObject({ code: 0 })

    const entries = readdirSync(data, { withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(data, entry.name))
    const file = files.find((path) => readFileSync(path).includes("a line to be found"))
    if (file === undefined) throw new Error(`the line is in none of ${files.join(", ")}`)
    const bytes = readFileSync(file)
    const at = bytes.indexOf("to be found")
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    writeFileSync(file, bytes)
    expect(await floe(["inspect", data, "--verify"])).toMatchObject({ code: 3 })
  })
})

describe("bench", () => {
  test("measures appends and reports them as JSON", async () => {
    const { code, out } = await floe([
      ...["bench", "append", server().url, "--json", "--pid", String(server().pid)],
      ...["--operations", "200", "--connections", "4", "--warm-up", "0"],
    ])
    expect(code).toBe(0)
    const report = JSON.parse(out) as { operations: { append: { count: number } }; errors: object }
    expect(report.operations.append.count).toBeGreaterThan(0)
    expect(report.errors).toEqual({})
  })
})
