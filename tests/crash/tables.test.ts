import { type ChangeEvent, MaterializedState } from "@durable-streams/state"
import { afterAll, beforeAll, expect, test } from "vitest"

import { Random, seedFromEnvironment } from "../support/random.ts"
import { Server } from "../support/server.ts"

const ROUNDS = 10
const WRITERS = 6
const seed = seedFromEnvironment()
const random = new Random(seed)

let server: Server
/** Rows that were acknowledged, by id, as they were when they were. */
const rows = new Map<number, string>()
/** Ids of changes whose answer never came. */
const inDoubt = new Set<number>()
let acknowledged = 0
let counted = 0
let countedInDoubt = 0
let doubted = 0
let nextId = 1

beforeAll(async () => {
  // Snapshots are made often, so that ends of the server hit them too.
  server = await Server.start({ options: ["--tables-snapshot-every", "200", "--tables-query-rows-max", "100000"] })
  const columns = [
    { name: "id", type: "INTEGER", primaryKey: true },
    { name: "text", type: "TEXT", notNull: true },
  ]
  await must("createTable", { name: "notes", columns })
})
afterAll(async () => {
  console.log(
    `NOTE: tables: ${ROUNDS} kills, ${acknowledged} acknowledged mutations, ${doubted} in doubt, seed ${seed}`,
  )
  await server?.dispose()
})

for (let round = 1; round <= ROUNDS; round += 1) {
  test(`kill ${round}: room, log and replica agree row by row`, async () => {
    let running = true
    const writers = Array.from({ length: WRITERS }, async () => {
      while (running) await write().catch(() => undefined)
    })
    await new Promise((done) => setTimeout(done, 50 + random.between(0, 250)))
    await server.kill()
    running = false
    await Promise.all(writers)
    await server.restart()

    const room = await select("room")
    for (const [id, text] of rows) {
      if (!inDoubt.has(id)) expect(room.get(id), `row ${id}`).toBe(text)
    }
    const own = new Set(rows.keys())
    for (const id of room.keys()) {
      expect(own.has(id) || inDoubt.has(id), `row ${id} was never written`).toBe(true)
    }
    expect(await fromLog()).toEqual(room)
    expect(await select("replica")).toEqual(room)

    // Increments that were flushed on demand are there; those in doubt may be.
    const count = await counter()
    expect(count).toBeGreaterThanOrEqual(counted)
    expect(count).toBeLessThanOrEqual(counted + countedInDoubt)
    counted = count
    countedInDoubt = 0
    // What is there now is what the next round begins with.
    for (const id of inDoubt) {
      const text = room.get(id)
      if (text === undefined) rows.delete(id)
      else rows.set(id, text)
    }
    doubted += inDoubt.size
    inDoubt.clear()
  })
}

/** Does one thing, and notes what is known of it. */
async function write(): Promise<void> {
  const kind = random.between(0, 9)
  if (kind === 0) {
    countedInDoubt += 1
    await must("incrementDebounced", { key: "count", by: 1 })
    return must("flushDebounced", { key: "count" }).then(() => {
      countedInDoubt -= 1
      counted += 1
    })
  }
  const id = nextId++
  inDoubt.add(id)
  await must("insertRow", { table: "notes", values: { id, text: "new" } })
  rows.set(id, "new")
  if (kind < 4) {
    await must("updateRow", { table: "notes", key: id, values: { text: `changed ${id}` } })
    rows.set(id, `changed ${id}`)
  } else if (kind === 4) {
    await must("transaction", {
      mutations: [
        { method: "deleteRow", payload: { table: "notes", key: id } },
        { method: "createTask", payload: { title: `for ${id}` } },
      ],
    })
    rows.delete(id)
    acknowledged += 2
    inDoubt.delete(id)
    deleted.add(id)
    return
  }
  acknowledged += kind < 4 ? 2 : 1
  inDoubt.delete(id)
}

/** Rows whose deletion was acknowledged. */
const deleted = new Set<number>()

async function must(method: string, payload: object): Promise<unknown> {
  const response = await fetch(`${server.url}/v1/rooms/crash/rpc`, {
    method: "POST",
    body: JSON.stringify({ method, payload }),
  })
  const answer = await response.json()
  if (!response.ok) throw new Error(`${method}: ${JSON.stringify(answer)}`)
  return answer
}

async function select(from: "room" | "replica"): Promise<Map<number, string>> {
  const sql = "SELECT id, text FROM notes ORDER BY id"
  if (from === "room") {
    const { data, truncated } = (await must("executeSQL", { sql })) as Rows
    expect(truncated).toBe(false)
    return byId(data)
  }
  const response = await fetch(`${server.url}/v1/sql`, {
    method: "POST",
    body: JSON.stringify({ sql, rooms: ["crash"] }),
  })
  const answer = await response.json()
  expect(response.status, JSON.stringify(answer)).toBe(200)
  return byId(answer.data)
}

interface Rows {
  data: Note[]
  truncated: boolean
}

interface Note {
  id: number
  text: string
}

function byId(notes: Note[]): Map<number, string> {
  for (const { id } of notes) expect(deleted.has(id), `row ${id} was deleted`).toBe(false)
  return new Map(notes.map(({ id, text }) => [id, text]))
}

/** The rows as a client of the State Protocol makes them from the log. */
async function fromLog(): Promise<Map<number, string>> {
  const state = new MaterializedState()
  let offset = "-1"
  for (;;) {
    const response = await fetch(`${server.stream("__room__/crash")}?offset=${offset}`)
    expect(response.status).toBe(200)
    state.applyBatch((await response.json()) as ChangeEvent[])
    offset = response.headers.get("stream-next-offset") ?? ""
    if (response.headers.get("stream-up-to-date") === "true") break
  }
  return byId([...(state.getType("notes")?.values() ?? [])] as Note[])
}

async function counter(): Promise<number> {
  const sql = "SELECT value FROM buffered WHERE key = 'count'"
  const answer = (await must("executeSQL", { sql }).catch(() => ({ data: [] }))) as {
    data: { value: string }[]
  }
  return Number(answer.data[0]?.value ?? 0)
}
