import { readdirSync, rmSync, watch } from "node:fs"
import { join } from "node:path"

import { afterAll, beforeAll, expect, test } from "vitest"

import { Random, seedFromEnvironment } from "../support/random.ts"
import { Server } from "../support/server.ts"

/** Rows that make a snapshot large, so that a kill can come in the middle of one. */
const BALLAST = 30
const BALLAST_BYTES = 900_000
const ROWS = 20
const WRITERS = 4
/** Kills in the middle of a snapshot that are waited for, and kills after which there are no more. */
const INSIDE = 6
const ROUNDS_MAX = 15
const seed = seedFromEnvironment()
const random = new Random(seed)

let server: Server
let inside = 0
let rounds = 0
/** Marks of rows that were acknowledged, and those that may have become theirs since. */
const marks = Array.from({ length: ROWS }, () => ({ known: 0, maybe: new Set<number>() }))
let mark = 0

beforeAll(async () => {
  server = await Server.start({ options: ["--tables-snapshot-every", "50"] })
  const id = { name: "id", type: "INTEGER", primaryKey: true }
  const text = { name: "text", type: "TEXT", notNull: true }
  await must("createTable", { name: "ballast", columns: [id, text] })
  await must("createTable", { name: "notes", columns: [id, { name: "mark", type: "INTEGER" }] })
  for (let row = 0; row < BALLAST; row += 1) {
    await must("insertRow", { table: "ballast", values: { text: "x".repeat(BALLAST_BYTES) } })
  }
  for (let row = 0; row < ROWS; row += 1) {
    await must("insertRow", { table: "notes", values: { id: row, mark: 0 } })
  }
}, 120_000)
afterAll(async () => {
  console.log(`NOTE: snapshots: ${rounds} kills, ${inside} in the middle of one, seed ${seed}`)
  await server?.dispose()
})

test("a kill in the middle of a snapshot loses nothing, with the room's file and without", { timeout: 300_000 }, async () => {
  while (inside < INSIDE && rounds < ROUNDS_MAX) {
    rounds += 1
    const begun = copyBegins()
    let running = true
    const writers = Array.from({ length: WRITERS }, async (_, writer) => {
      while (running) await write(writer).catch(() => undefined)
    })
    await begun
    // The first kills come at any moment of it, the later ones as early as they can.
    if (rounds < 6) await new Promise((done) => setTimeout(done, random.between(0, 20)))
    await server.kill()
    running = false
    await Promise.all(writers)
    if (files(".copy").length > 0) inside += 1
    // What is made anew then is made from a snapshot, where there is one.
    if (rounds % 2 === 0) {
      for (const name of [...files(".sqlite"), ...files(".clean")]) rmSync(join(folder(), name))
    }
    await server.restart()
    await check()
    expect(files(".copy")).toEqual([])
  }
  expect(inside).toBeGreaterThanOrEqual(1)
})

const folder = () => join(server.data, "tables")
const files = (part: string) => readdirSync(folder()).filter((name) => name.includes(part))

/** Resolves when the server begins to copy a room's file. */
function copyBegins(): Promise<void> {
  return new Promise((done, fail) => {
    const watcher = watch(folder(), (_, name) => {
      if (!name?.includes(".copy")) return
      watcher.close()
      done()
    })
    watcher.once("error", fail)
  })
}

/** Gives one of a writer's rows a new mark, and notes what is known of it. */
async function write(writer: number): Promise<void> {
  const id = random.between(0, ROWS / WRITERS - 1) * WRITERS + writer
  const row = marks[id]
  if (row === undefined) throw new Error(`no row ${id}`)
  const next = ++mark
  row.maybe.add(next)
  await must("updateRow", { table: "notes", key: id, values: { mark: next } })
  row.known = next
  row.maybe.clear()
}

async function check(): Promise<void> {
  const notes = await select<{ id: number; mark: number }>("SELECT id, mark FROM notes ORDER BY id")
  expect(notes.map(({ id }) => id)).toEqual(marks.map((_, id) => id))
  for (const { id, mark } of notes) {
    const row = marks[id]
    if (row === undefined) throw new Error(`no row ${id}`)
    expect([row.known, ...row.maybe], `row ${id}`).toContain(mark)
    row.known = mark
    row.maybe.clear()
  }
  const ballast = await select<{ n: number; bytes: number }>(
    "SELECT count(*) AS n, sum(length(text)) AS bytes FROM ballast",
  )
  expect(ballast).toEqual([{ n: BALLAST, bytes: BALLAST * BALLAST_BYTES }])
}

async function select<Row>(sql: string): Promise<Row[]> {
  const { data } = (await must("executeSQL", { sql })) as { data: Row[] }
  return data
}

async function must(method: string, payload: object): Promise<unknown> {
  const response = await fetch(`${server.url}/v1/rooms/snapshots/rpc`, {
    method: "POST",
    body: JSON.stringify({ method, payload }),
  })
  const answer = await response.json()
  if (!response.ok) throw new Error(`${method}: ${JSON.stringify(answer)}`)
  return answer
}
