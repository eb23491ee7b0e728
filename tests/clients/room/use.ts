// How the client of a room is used: never run, but it compiles, and what is wrong does not.
import { callRoom, type Mutation, Room, type RowEvent, type NotesRow, type SeatsKey } from "./client.ts"

export async function use(room: Room): Promise<void> {
  const { data, seq } = await room.insert("notes", { text: "a", done: true, tags: ["x", { y: 1 }] })
  const text: string | undefined = data.row?.text
  const weight: number | null | undefined = data.row?.weight
  await room.update("notes", data.row!.id, { weight: null, photo: { $base64: "AAE=" } })
  const seat: SeatsKey = ["LH 400", 12]
  await room.update("seats", seat, { taken_by: "ann" })
  await room.delete("log_lines", 3)
  const swap: Mutation[] = [
    { method: "deleteRow", payload: { table: "seats", key: ["LH 400", 12] } },
    { method: "createTask", payload: { title: "tell ann" } },
  ]
  const preconditions = [{ table: "notes", key: data.row!.id, version: seq }]
  const { results } = (await room.call("transaction", { mutations: swap, preconditions })).data
  const counts = await room.query<{ n: number }>("SELECT count(*) AS n FROM notes", [])
  const task = (await callRoom({ url: "http://localhost" }, "createTask", { title: "b" })).data.title
  const told: (string | number | null | undefined)[] = [text, weight, results.length, counts[0]?.n, task]
  const end = room.follow("notes", (event: RowEvent<NotesRow>) => told.push(event.row.text))
  room.live("SELECT 1 AS one WHERE 1 = :a", { a: 1 }, (rows) => told.push(rows.length))
  room.on("memory", ({ type, data, removed }) => told.push(type, data.length, removed.length))
  end()

  // @ts-expect-error -- there is no such table
  await room.insert("note", { text: "a" })
  // @ts-expect-error -- `text` must be there
  await room.insert("notes", { done: false })
  // @ts-expect-error -- a key of two columns has two values
  await room.delete("seats", "LH 400")
  // @ts-expect-error -- it must not be null
  await room.update("notes", 1, { text: null })
  // @ts-expect-error -- a method does not take what is none of its parameters
  await room.call("createTask", { name: "b" })
}
