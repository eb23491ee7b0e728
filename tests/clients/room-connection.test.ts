// How the TypeScript client of a room lives with its connection: a server of the test's own breaks it.
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { afterAll, expect, test } from "vitest"
import { WebSocket as NodeWebSocket, WebSocketServer, type WebSocket as Socket } from "ws"

import { Room } from "./room/client.ts"

globalThis.WebSocket ??= NodeWebSocket as unknown as typeof WebSocket

type Call = { method: string; payload: { [name: string]: unknown }; requestId: string }

const server = new WebSocketServer({ port: 0 })
afterAll(() => server.close())
const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`

/** The next connection, with the calls that come on it. */
async function connection(): Promise<{ socket: Socket; call: (method: string) => Promise<Call> }> {
  const [socket, request] = (await once(server, "connection")) as [Socket, { url: string }]
  expect(request.url).toBe("/connect?room_id=a%2Fb")
  const calls: Call[] = []
  let told = () => {}
  socket.on("message", (data) => {
    calls.push(JSON.parse(String(data)) as Call)
    told()
  })
  const call = async (method: string) => {
    for (;;) {
      const at = calls.findIndex((call) => call.method === method)
      if (at >= 0) return calls.splice(at, 1)[0]!
      await new Promise<void>((done) => (told = done))
    }
  }
  return { socket, call }
}

const say = (socket: Socket, frame: object) => socket.send(JSON.stringify(frame))

test("what is followed is taken up again, and what was under way is known to be lost", async () => {
  const first = connection()
  const room = new Room({ url: url(), room: "a/b", retryMsMax: 50 })
  const told: unknown[] = []
  room.on("reset", (tables) => told.push(["reset", ...tables]))
  room.follow("notes", (event) => told.push([event.action, event.key]))
  room.live<{ n: number }>("SELECT 1 AS n", [], (rows, seq) => told.push([rows[0]?.n, seq]))
  const added = room.insert("notes", { text: "a" })

  const one = await first
  const followed = await one.call("subscribe")
  expect(followed.payload).toEqual({ tables: ["notes"] })
  const subscribed = { type: "success", action: "subscribe", incarnation: "2a" }
  say(one.socket, { ...subscribed, requestId: followed.requestId, seq: 1 })
  const asked = await one.call("subscribeQuery")
  say(one.socket, {
    type: "query_subscribed",
    requestId: asked.requestId,
    queryId: asked.payload["queryId"],
    data: [{ n: 1 }],
    seq: 1,
  })
  const insert = await one.call("insertRow")
  expect(insert.payload).toEqual({ table: "notes", values: { text: "a" }, onConflict: "fail" })
  say(one.socket, { type: "mutation_success", requestId: insert.requestId, data: { rows: 1 }, seq: 2 })
  say(one.socket, { event: "update", table: "notes", action: "added", row: {}, key: "1", seq: 2 })
  expect(await added).toMatchObject({ data: { rows: 1 }, seq: 2 })

  const lost = room.delete("notes", 1)
  await one.call("deleteRow")
  const second = connection()
  one.socket.terminate()
  await expect(lost).rejects.toMatchObject({ code: "CONNECTION_LOST" })
  // A call that was not sent yet waits for the next connection.
  const waits = room.call("deleteTask", { id: 1 })

  const two = await second
  // It says what it has seen, and is told what it missed.
  const resumed = await two.call("subscribe")
  expect(resumed.payload).toEqual({ tables: ["notes"], after: 2, incarnation: "2a" })
  say(two.socket, { ...subscribed, requestId: resumed.requestId, seq: 2 })
  say(two.socket, { event: "update", table: "notes", action: "modified", row: {}, key: "1", seq: 3 })
  const again = await two.call("subscribeQuery")
  expect(again.payload).toEqual(asked.payload)
  say(two.socket, { type: "query_update", queryId: again.payload["queryId"], data: [{ n: 2 }], seq: 3 })
  const task = await two.call("deleteTask")
  const error = { code: "NOT_FOUND", error: "there is no such task" }
  say(two.socket, { type: "mutation_error", requestId: task.requestId, ...error })
  await expect(waits).rejects.toMatchObject({ code: "NOT_FOUND", message: error.error })
  expect(told).toEqual([[1, 1], ["added", "1"], ["modified", "1"], [2, 3]])

  const third = connection()
  two.socket.terminate()
  const three = await third
  const missed = await three.call("subscribe")
  expect(missed.payload).toEqual({ tables: ["notes"], after: 3, incarnation: "2a" })
  say(three.socket, { type: "reset", code: "GONE", tables: ["notes"], seq: 9, incarnation: "2b" })
  say(three.socket, { ...subscribed, requestId: missed.requestId, seq: 9, incarnation: "2b" })
  const fourth = connection()
  three.socket.close(4040, "SLOW_CONSUMER")
  const four = await fourth
  const last = await four.call("subscribe")
  expect(last.payload).toEqual({ tables: ["notes"], after: 9, incarnation: "2b" })
  expect(told.at(-1)).toEqual(["reset", "notes"])

  const down = new Promise((done) => room.on("down", (isFinal, code) => done([isFinal, code])))
  four.socket.close(4522, "UNAUTHORIZED")
  expect(await down).toEqual([true, 4522])
  await expect(room.call("listTasks", {})).rejects.toMatchObject({ code: "CONNECTION_LOST" })
})

test("what ends is asked for no longer, and close means close", async () => {
  const first = connection()
  const room = new Room({ url: url(), room: "a/b", retryMsMax: 50 })
  const one = await first
  const both = [() => {}, () => {}].map((told) => room.follow("notes", told))
  const asked = await one.call("subscribe")
  say(one.socket, { type: "success", action: "subscribe", requestId: asked.requestId })
  both[0]!()
  both[1]!()
  expect((await one.call("unsubscribe")).payload).toEqual({ table: "notes" })
  const lost = room.call("getUsage", {})
  const closed = once(one.socket, "close")
  room.close()
  await expect(lost).rejects.toMatchObject({ code: "CONNECTION_LOST" })
  await closed
})
