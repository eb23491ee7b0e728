import { DurableStream } from "@durable-streams/client"
import { type ChangeEvent, createStateSchema, MaterializedState } from "@durable-streams/state"
import { createStreamDB } from "@durable-streams/state/db"
import { expect, test } from "vitest"

import { serverOfFile } from "../support/fixture.ts"
import { Server } from "../support/server.ts"

const server = serverOfFile()

test("change messages materialise into the state they describe", async () => {
  const handle = await changes("state/plain")
  await handle.append(JSON.stringify(tasks.insert({ value: { id: "1", title: "write" } })))
  await handle.append(JSON.stringify(tasks.insert({ value: { id: "2", title: "read" } })))
  await handle.append(JSON.stringify(tasks.update({ value: { id: "1", title: "write more" } })))
  await handle.append(JSON.stringify(tasks.delete({ key: "2" })))

  const state = new MaterializedState()
  const read = await handle.stream<ChangeEvent>({ live: false })
  state.applyBatch(await read.json())
  expect(state.types).toEqual(["task"])
  expect([...state.getType("task")]).toEqual([["1", { id: "1", title: "write more" }]])
})

test.each(["long-poll", "sse"] as const)(
  "a database over a stream follows by %s, and over a restart",
  async (live) => {
    const restarted = await Server.start()
    const handle = await DurableStream.create({
      url: restarted.stream("state/live"),
      contentType: "application/json",
    })
    await handle.append(JSON.stringify(tasks.insert({ value: { id: "1", title: "before" } })))

    const database = createStreamDB({
      streamOptions: { url: handle.url, contentType: "application/json" },
      live,
      state: schema,
    })
    await database.preload()
    const titles = () => database.collections.tasks.toArray.map((task) => task.title).sort()
    expect(titles()).toEqual(["before"])

    await append(handle, "seen", { id: "2", title: "live" })
    await database.utils.awaitTxId("seen")
    expect(titles()).toEqual(["before", "live"])

    expect(await restarted.stop()).toEqual({ code: 0, signal: null })
    await restarted.restart()
    await append(handle, "later", { id: "1", title: "after" })
    await database.utils.awaitTxId("later", 10_000)
    expect(titles()).toEqual(["after", "live"])

    database.close()
    await restarted.dispose()
  },
)

function changes(path: string): Promise<DurableStream> {
  return DurableStream.create({ url: server().stream(path), contentType: "application/json" })
}

async function append(handle: DurableStream, txid: string, value: Task) {
  await handle.append(JSON.stringify(tasks.upsert({ value, headers: { txid } })))
}

interface Task {
  id: string
  title: string
}

const schema = createStateSchema({
  tasks: {
    type: "task",
    primaryKey: "id",
    schema: {
      "~standard": { version: 1, vendor: "floe", validate: (value) => ({ value: value as Task }) },
    },
  },
})
const { tasks } = schema
