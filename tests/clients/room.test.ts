// The TypeScript client that the server writes for a room: it compiles, and it does what it says.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type ChangeEvent, MaterializedState } from "@durable-streams/state"
import { DurableStream } from "@durable-streams/client"
import { afterAll, expect, test } from "vitest"

import { serverOfFile } from "../support/fixture.ts"
import { run } from "../support/run.ts"
import { root } from "../support/server.ts"
import { callRoom, RoomError, type RoomOptions } from "./room/client.ts"

const server = serverOfFile()
const folder = mkdtempSync(join(root, "tests/clients/room-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const notes = {
  name: "notes",
  columns: [
    { name: "id", type: "INTEGER", primaryKey: true },
    { name: "text", type: "TEXT", notNull: true, unique: true },
    { name: "done", type: "BOOLEAN", default: 0 },
  ],
} as const

test("the client of a room compiles, strictly, and knows its tables", async () => {
  const options = at("typed")
  await callRoom(options, "createTable", notes)
  const response = await fetch(`${server().url}/download-client?room_id=typed`)
  expect(response.status).toBe(200)
  const source = await response.text()
  expect(source).toContain('export const ROOM = "typed"')
  writeFileSync(join(folder, "client.ts"), source)
  writeFileSync(
    join(folder, "use.ts"),
    `import { Room } from "./client.ts"
     export async function use(room: Room): Promise<number> {
       const { data } = await room.insert("notes", { text: "a" })
       const done: 0 | 1 | null | undefined = data.row?.done
       // @ts-expect-error -- there is no such column
       await room.insert("notes", { text: "a", color: "teal" })
       return (done ?? 0) + data.row!.id
     }`,
  )
  const flags = ["--ignoreConfig", "--noEmit", "--strict", "--target", "es2022", "--module", "esnext"]
  const compiler = join(root, "tests/node_modules/.bin/tsc")
  const files = ["client.ts", "use.ts"].map((name) => join(folder, name))
  const modern = ["--moduleResolution", "bundler", "--allowImportingTsExtensions", "--types", ""]
  const built = await run(compiler, [...flags, ...modern, "--lib", "es2022,dom", ...files])
  expect(built).toMatchObject({ code: 0, out: "" })

  const { callRoom: call } = (await import(join(folder, "client.ts"))) as typeof import("./room/client.ts")
  const added = await call({ url: server().url }, "insertRow", { table: "notes", values: { text: "b" } })
  expect(added).toMatchObject({ data: { rows: 1, key: "1", row: { id: 1, text: "b", done: 0 } }, seq: 2 })
})

test("what fails says why", async () => {
  const options = at("failures")
  await callRoom(options, "createTable", notes)
  const insert = (text: string) =>
    callRoom(options, "insertRow", { table: "notes", values: { text } })
  await insert("a")
  const taken = await insert("a").catch((error: unknown) => error)
  expect(taken).toBeInstanceOf(RoomError)
  expect(taken).toMatchObject({ code: "CONSTRAINT", table: "notes", column: "text" })
  const rows = await callRoom(options, "executeSQL", { sql: "SELECT text FROM notes" })
  expect(rows).toMatchObject({ data: [{ text: "a" }], truncated: false, seq: 2 })
  const write = callRoom(options, "executeSQL", { sql: "DELETE FROM notes" })
  await expect(write).rejects.toMatchObject({ code: "SQL_REJECTED" })
})

test("the log of a room is state that the published client understands", async () => {
  const options = at("acme/state")
  await callRoom(options, "createTable", notes)
  for (const text of ["a", "b", "c"]) {
    await callRoom(options, "insertRow", { table: "notes", values: { text } })
  }
  await callRoom(options, "updateRow", { table: "notes", key: 1, values: { done: true } })
  await callRoom(options, "deleteRow", { table: "notes", key: 2 })

  const stream = new DurableStream({ url: server().stream("__room__/acme/state") })
  const read = await stream.stream<ChangeEvent>({ live: false })
  const state = new MaterializedState()
  state.applyBatch(await read.json())
  expect([...state.getType("notes")]).toEqual([
    ["1", { id: 1, text: "a", done: 1 }],
    ["3", { id: 3, text: "c", done: 0 }],
  ])
})

function at(room: string): RoomOptions {
  return { url: server().url, room }
}
