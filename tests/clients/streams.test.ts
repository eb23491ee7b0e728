import { setTimeout as sleep } from "node:timers/promises"

import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"
import { describe, expect, test } from "vitest"

import { serverOfFile } from "../support/fixture.ts"
import { FlakyProxy } from "../support/proxy.ts"
import { seedFromEnvironment } from "../support/random.ts"
import { Server } from "../support/server.ts"

const server = serverOfFile()

describe("the published client", () => {
  test("creates, appends, reads and closes a text stream", async () => {
    const handle = await DurableStream.create({
      url: server().stream("clients/text"),
      contentType: "text/plain",
      body: "one\n",
    })
    await handle.append("two\n")
    const { finalOffset } = await handle.close({ body: "three\n" })

    const read = await handle.stream({ live: false })
    expect(await read.text()).toBe("one\ntwo\nthree\n")
    expect(read.streamClosed).toBe(true)
    expect(read.offset).toBe(finalOffset)
    expect(await handle.head()).toMatchObject({
      exists: true,
      contentType: "text/plain",
      streamClosed: true,
      offset: finalOffset,
    })
  })

  test("keeps the bounds of JSON messages and resumes from an offset", async () => {
    const handle = await DurableStream.create({
      url: server().stream("clients/json"),
      contentType: "application/json",
    })
    await handle.append(JSON.stringify({ n: 1 }))
    const first = await handle.stream<{ n: number }>({ live: false })
    expect(await first.json()).toEqual([{ n: 1 }])

    await handle.append(JSON.stringify([2, 3]))
    const second = await handle.stream({ live: false, offset: first.offset })
    expect(await second.json()).toEqual([[2, 3]])
  })

  test("carries bytes unchanged through server-sent events", async () => {
    const handle = await DurableStream.create({
      url: server().stream("clients/bytes"),
      contentType: "application/octet-stream",
    })
    const bytes = Uint8Array.from({ length: 4096 }, (_, index) => (index * 31) % 256)
    await handle.append(bytes)
    const live = await handle.stream({ live: "sse" })
    const seen: number[] = []
    const whole = new Promise<void>((done) => {
      live.subscribeBytes((chunk) => {
        seen.push(...chunk.data)
        if (seen.length >= 2 * bytes.length) done()
      })
    })
    await handle.append(bytes)
    await whole
    live.cancel()
    expect(seen).toEqual([...bytes, ...bytes])
  })

  test("names what is refused", async () => {
    const url = server().stream("clients/refused")
    const missing = new DurableStream({ url, contentType: "text/plain" })
    await expect(missing.append("text")).rejects.toMatchObject({ status: 404 })
    await DurableStream.create({ url, contentType: "text/plain" })
    const other = DurableStream.create({ url, contentType: "application/json" })
    await expect(other).rejects.toMatchObject({ status: 409 })
    await DurableStream.delete({ url })
    expect(await DurableStream.head({ url })).toEqual({ exists: false })
  })

  test("refuses a second writer of an older epoch", async () => {
    const handle = await DurableStream.create({
      url: server().stream("clients/epochs"),
      contentType: "application/json",
    })
    const failures: Error[] = []
    const old = new IdempotentProducer(handle, "writer", {
      onError: (error) => failures.push(error),
    })
    old.append("1")
    await old.flush()
    const successor = new IdempotentProducer(handle, "writer", { epoch: 1 })
    successor.append("2")
    await successor.flush()
    old.append("3")
    await old.flush().catch(() => {})
    expect(failures.map((failure) => failure.name)).toEqual(["StaleEpochError"])

    const claimer = new IdempotentProducer(handle, "writer", { autoClaim: true })
    claimer.append("4")
    await claimer.flush()
    expect(claimer.epoch).toBe(2)
    const read = await handle.stream({ live: false })
    expect(await read.json()).toEqual([1, 2, 4])
  })
})

describe("a producer that retries through cut connections", () => {
  test.each([
    { name: "one request at a time", maxInFlight: 1 },
    { name: "five requests at a time", maxInFlight: 5 },
  ])("lands every message once and in order, $name", async ({ maxInFlight }) => {
    const seed = seedFromEnvironment()
    const path = `clients/flaky-${maxInFlight}`
    const proxy = await FlakyProxy.start(server().port, 0.08, seed)
    const direct = await DurableStream.create({
      url: server().stream(path),
      contentType: "application/json",
    })
    const handle = new DurableStream({
      url: `${proxy.url}/v1/stream/${path}`,
      contentType: "application/json",
    })
    const failures: Error[] = []
    const producer = new IdempotentProducer(handle, "writer", {
      maxInFlight,
      lingerMs: 0,
      maxBatchBytes: 200,
      onError: (error) => failures.push(error),
      fetch: fetchUntilAnswered,
    })

    const messages = Array.from({ length: 1000 }, (_, index) => `${index}`.padStart(40, "."))
    for (const message of messages) producer.append(JSON.stringify(message))
    await producer.flush()
    await proxy.close()

    expect(failures, `seed ${seed}`).toEqual([])
    const read = await direct.stream({ live: false })
    expect(await read.json(), `seed ${seed}`).toEqual(messages)
    expect(proxy.cuts.requests, `seed ${seed}`).toBeGreaterThan(0)
    expect(proxy.cuts.answers, `seed ${seed}`).toBeGreaterThan(0)
  })
})

describe("a reader through cut connections", () => {
  test.each(["long-poll", "sse"] as const)("has no gap and no duplicate by %s", async (live) => {
    const seed = seedFromEnvironment()
    const proxy = await FlakyProxy.start(server().port, 0.05, seed)
    const path = `clients/flaky-reader-${live}`
    const direct = await DurableStream.create({
      url: server().stream(path),
      contentType: "application/json",
    })
    const follower = new Follower(`${proxy.url}/v1/stream/${path}`, live)
    for (let index = 0; index < 300; index += 1) await direct.append(String(index))
    await direct.append(String(LAST))
    await follower.ended
    await proxy.close()
    const expected = [...Array.from({ length: 300 }, (_, index) => index), LAST]
    expect(follower.seen, `seed ${seed}`).toEqual(expected)
    expect(proxy.cuts.answers, `seed ${seed}`).toBeGreaterThan(0)
  })
})

describe("a live reader over a restart", () => {
  const cases = (["long-poll", "sse"] as const).flatMap((live) =>
    (["stop", "kill"] as const).map((how) => ({ live, how })),
  )

  test.each(cases)("by $live has no gap and no duplicate after a $how", async ({ live, how }) => {
    const restarted = await Server.start()
    const url = restarted.stream("clients/restart")
    const handle = await DurableStream.create({ url, contentType: "application/json" })
    const producer = new IdempotentProducer(handle, "writer", {
      maxInFlight: 1,
      lingerMs: 0,
      fetch: fetchUntilAnswered,
    })
    const follower = new Follower(url, live)

    const expected: number[] = []
    const write = async (count: number) => {
      for (let done = 0; done < count; done += 1) {
        expected.push(expected.length)
        producer.append(String(expected.length - 1))
        await producer.flush()
      }
    }
    for (let round = 0; round < 3; round += 1) {
      await write(20)
      // The producer writes on, through the end of the server and its next start.
      const writing = write(20)
      const end = await restarted[how]()
      expect(end).toEqual(how === "stop" ? { code: 0, signal: null } : KILLED)
      await restarted.restart()
      await writing
      await write(20)
    }
    expected.push(LAST)
    producer.append(String(LAST))
    await producer.flush()
    await follower.ended
    expect(follower.seen).toEqual(expected)
    await restarted.dispose()
  })
})

/** Follows a stream of numbers as an application does: where a session fails, it begins the next
 * at the offset of the last batch. */
class Follower {
  readonly seen: number[] = []
  /** Resolves when `LAST` has come. */
  readonly ended: Promise<void>
  #offset = "-1"

  constructor(url: string, live: "long-poll" | "sse") {
    this.ended = this.#follow(url, live)
  }

  async #follow(url: string, live: "long-poll" | "sse") {
    while (this.seen.at(-1) !== LAST) {
      const session = await stream<number>({
        url,
        live,
        offset: this.#offset,
        warnOnHttp: false,
        sseResilience: { logWarnings: false, backoffBaseDelay: 5, backoffMaxDelay: 50 },
        backoffOptions: { initialDelay: 5, maxDelay: 50, multiplier: 1.3 },
      })
      session.subscribeJson((batch) => {
        this.seen.push(...batch.items)
        this.#offset = batch.offset
        if (this.seen.at(-1) === LAST) session.cancel()
      })
      // A failed session is gone through in the next turn of the loop.
      await session.closed.catch(() => {})
    }
  }
}

/** The producer leaves retries to its `fetch`: this one repeats a request until it is answered. */
const fetchUntilAnswered: typeof fetch = async (url, request) => {
  for (;;) {
    try {
      const response = await fetch(url, request)
      if (response.status < 500) return response
      await response.body?.cancel()
    } catch (error) {
      if (request?.signal?.aborted) throw error
    }
    await sleep(5)
  }
}

const LAST = -1
const KILLED = { code: null, signal: "SIGKILL" }
