import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"

import { serverOfFile } from "../support/fixture.ts"
import { floe } from "../support/run.ts"

const server = serverOfFile()
const folder = mkdtempSync(join(tmpdir(), "floe-tables-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Runs a command about the room `name`. */
const of = (name: string, command: string, args: readonly string[], input = "") =>
  floe([command, "--room", name, "--server", server().url, ...args], input)

describe("import, sql and export", () => {
  test("carry rows into a table and out of it", async () => {
    const rows = '[{"id":1,"word":"one"},{"id":2,"word":"two, \\"2\\""}]'
    const imported = await of("rows", "import", ["--table", "words", "--create", "--format", "json", "-"], rows)
    expect(imported).toMatchObject({ code: 0, out: "2 rows inserted\n" })
    const asked = await of("rows", "sql", ["SELECT word FROM words WHERE id = :id", "--param", ":id=2", "--json"])
    expect(JSON.parse(asked.out)).toEqual([{ word: 'two, "2"' }])
    const exported = await of("rows", "export", ["--table", "words"])
    expect(exported).toMatchObject({ code: 0, out: 'id,word\n1,one\n2,"two, ""2"""\n' })
  })

  test("an import that cannot go on says where to go on from, and does", async () => {
    const file = join(folder, "numbers.csv")
    writeFileSync(file, "id,n\n" + Array.from({ length: 30 }, (_, at) => `${at},${at === 24 ? "x" : at}\n`).join(""))
    await of("resumed", "import", ["--table", "numbers", "--create", "--key", "id", "--format", "ndjson", "-"], '{"id":-1,"n":0}')
    const args = ["--table", "numbers", "--batch", "10", file]
    const stopped = await of("resumed", "import", args)
    expect(stopped).toMatchObject({ code: 1, out: "" })
    expect(stopped.err).toContain("line 26: column `n`: `x` is not a whole number")
    const done = /--skip (\d+)/.exec(stopped.err)?.[1]
    expect(done).toBe("20")
    writeFileSync(file, readFileSync(file, "utf8").replace(",x\n", ",24\n"))
    expect(await of("resumed", "import", [...args, "--skip", "20"])).toMatchObject({ code: 0, out: "10 rows inserted\n" })
    const counted = await of("resumed", "sql", ["SELECT count(*) AS n, sum(n) AS s FROM numbers", "--csv"])
    expect(counted.out).toBe("n,s\n31,435\n")
  })

  test("all tables are one SQLite file", async () => {
    await of("copied", "import", ["--table", "t", "--create", "--format", "ndjson", "-"], '{"a":1}')
    const file = join(folder, "copy.sqlite")
    expect(await of("copied", "export", ["--format", "sqlite", "--output", file])).toMatchObject({ code: 0 })
    expect(readFileSync(file).subarray(0, 15).toString()).toBe("SQLite format 3")
  })

  test("what the server refuses ends with 1 and its code", async () => {
    await of("refused", "import", ["--table", "t", "--create", "--format", "ndjson", "-"], '{"a":1}')
    const wrote = await of("refused", "sql", ["UPDATE t SET a = 2"])
    expect(wrote).toMatchObject({ code: 1, out: "", err: expect.stringContaining("SQL_REJECTED") })
    const named = await of("no room", "sql", ["SELECT 1"])
    expect(named).toMatchObject({ code: 2, out: "" })
  })
})
