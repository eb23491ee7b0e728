import { setTimeout as sleep } from "node:timers/promises"

import { check, describeAnswer } from "../crash/client.ts"
import { Http } from "../support/http.ts"
import { FlakyProxy } from "../support/proxy.ts"
import type { Random } from "../support/random.ts"
import { Server } from "../support/server.ts"
import { type LogEvent, Ledger } from "./ledger.ts"
import { Reader, READS_BY } from "./reader.ts"
import { unlessLost, Writer, WRITES_BY } from "./writer.ts"

/**
 * One history: some channels that many write to and many follow, by every way there is, while
 * connections are cut and the server ends and comes back. At the end, all have seen the same.
 */
export class History {
  readonly totals: Totals = { ends: 0, events: 0, acknowledged: 0, cuts: 0 }
  readonly #random: Random
  readonly #server: Server
  readonly #proxy: FlakyProxy
  readonly #clients: Http[] = []

  private constructor(random: Random, server: Server, proxy: FlakyProxy) {
    this.#random = random
    this.#server = server
    this.#proxy = proxy
  }

  static async start(random: Random): Promise<History> {
    const server = await Server.start({ options: settings(random) })
    const proxy = await FlakyProxy.start(server.port, CUT_PROBABILITY, random.between(0, 2 ** 31))
    return new History(random, server, proxy)
  }

  async run(): Promise<void> {
    const direct = this.#client(this.#server.url)
    const ledgers: Ledger[] = []
    for (let at = 0; at < CHANNELS; at += 1) ledgers.push(await newLedger(direct, at))
    let areWritersDone = false
    let areReadersDone = false
    const writers = Array.from({ length: WRITERS }, (_, at) => {
      const [http, origin] = this.#way()
      const by = this.#random.pick(WRITES_BY)
      return new Writer(`${by[0]}${at}`, by, http, origin, this.#random.fork())
    })
    const readers = Array.from({ length: READERS }, (_, at) => {
      const [http, origin] = this.#way()
      const by = READS_BY[at % READS_BY.length] ?? "websocket"
      return new Reader(String(at), by, ledgers, http, origin, this.#random.fork())
    })
    const writing = Promise.all(writers.map((writer) => writer.work(ledgers, () => areWritersDone)))
    const reading = Promise.all(readers.map((reader) => reader.work(() => areReadersDone)))
    // Whoever fails while the others still work is heard at once.
    const failure = Promise.race([failureOf(writing), failureOf(reading)])
    failure.catch(() => {})

    const phases = this.#phases()
    try {
      await Promise.race([phases, failure])
      areWritersDone = true
      await Promise.race([writing, failure])
      await Promise.race([caughtUp(readers), failure])
    } finally {
      areWritersDone = true
      areReadersDone = true
      // A server that starts after the failure would outlive it.
      await phases.catch(() => {})
    }
    await reading
    for (const ledger of ledgers) await this.#conclude(direct, ledger)
    this.totals.cuts = this.#proxy.cuts.answers + this.#proxy.cuts.requests
  }

  /** What the server has to say, for a failure. */
  get log(): string {
    return this.#server.log
  }

  async dispose(): Promise<void> {
    for (const http of this.#clients) http.close()
    await this.#proxy.close()
    await this.#server.dispose()
  }

  /** Lets them work, and ends the server now and then. */
  async #phases(): Promise<void> {
    const phases = this.#random.between(2, 5)
    for (let phase = 0; phase < phases; phase += 1) {
      await sleep(this.#random.between(100, 700))
      const kind = this.#random.unit()
      if (kind < 0.2) continue
      this.totals.ends += 1
      if (kind < 0.7) {
        await this.#server.kill()
      } else {
        const exit = await this.#server.stop()
        check(exit.code === 0, () => `stop ended with ${JSON.stringify(exit)}`)
      }
      await sleep(this.#random.between(0, 100))
      await this.#server.restart()
    }
    await sleep(this.#random.between(100, 500))
  }

  async #conclude(http: Http, ledger: Ledger): Promise<void> {
    const path = `/v1/channels/${ledger.channel}`
    const events = await pages(http, (after) => `${path}/events?limit=1000&afterSeq=${after}`)
    ledger.conclude(events)
    // The view shows the same events, once it has them.
    const head = events.length
    const wait = head === 0 ? "" : `&waitFor=${head}`
    const viewed = await pages(http, (after) => `${path}/query?limit=1000&afterSeq=${after}${wait}`)
    const shown = (event: LogEvent | undefined) => `${event?.id} ${event?.content}`
    check(viewed.length === head, () => `${path}: ${viewed.length} of ${head} events in the view`)
    viewed.forEach((event, index) => {
      const logged = events[index]
      check(
        shown(event) === shown(logged),
        () => `${path}: the view has ${shown(event)} where the log has ${shown(logged)}`,
      )
    })
    this.totals.events += head
    this.totals.acknowledged += ledger.acknowledged
  }

  /** A way to the server: straight, or through what cuts connections. */
  #way(): [Http, string] {
    const origin = this.#random.chance(0.5) ? this.#proxy.url : this.#server.url
    return [this.#client(origin), origin]
  }

  #client(origin: string): Http {
    const http = new Http(origin)
    this.#clients.push(http)
    return http
  }
}

/** Counts over a history. */
export interface Totals {
  /** Times that the server ended. */
  ends: number
  events: number
  acknowledged: number
  /** Connections that were cut on the way. */
  cuts: number
}

async function newLedger(http: Http, at: number): Promise<Ledger> {
  const body = JSON.stringify({ name: `history-${at}`, namespace: "histories" })
  const answer = await http.send({ method: "POST", path: "/v1/channels", body })
  check(answer.status < 300, () => `create: ${describeAnswer(answer)}`)
  const { metadata } = JSON.parse(answer.body.toString()) as { metadata: { channelId: string } }
  return new Ledger(metadata.channelId)
}

/** All events, page by page. */
async function pages(http: Http, path: (after: number) => string): Promise<LogEvent[]> {
  const all: LogEvent[] = []
  const deadline = Date.now() + CATCH_UP_MS_MAX
  for (;;) {
    const where = path(all.at(-1)?.seq ?? 0)
    const answer = await http.send({ method: "GET", path: where }).catch(unlessLost)
    if (answer === undefined || answer.status === 503) {
      check(Date.now() < deadline, () => `${where}: no answer in ${CATCH_UP_MS_MAX} ms`)
      await sleep(20)
      continue
    }
    check(answer.status === 200, () => `${where}: ${describeAnswer(answer)}`)
    const page = JSON.parse(answer.body.toString()) as { events: LogEvent[]; hasMore: boolean }
    all.push(...page.events)
    if (!page.hasMore) return all
  }
}

async function caughtUp(readers: readonly Reader[]): Promise<void> {
  const deadline = Date.now() + CATCH_UP_MS_MAX
  for (;;) {
    const behind = readers.filter((reader) => !reader.isCaughtUp)
    if (behind.length === 0) return
    check(Date.now() < deadline, () => `stuck: ${behind.join("; ")}`)
    await sleep(10)
  }
}

/** Never resolves; rejects as `promise` does. */
function failureOf(promise: Promise<unknown>): Promise<never> {
  return new Promise((_, fail) => promise.catch(fail))
}

/** Small bounds, so that ends fall into flushes, rolls and merges too. */
function settings(random: Random): string[] {
  return [
    "--wal-segment-bytes",
    String(random.pick([256 << 10, 1 << 20, 4 << 20])),
    "--flush-bytes",
    String(random.pick([64 << 10, 512 << 10, 4 << 20])),
    "--sse-event-bytes-max",
    String(random.pick([500, 4_000, 65_536])),
    "--room-idle-timeout-ms",
    String(random.pick([1, 50, 60_000])),
    "--rooms-loaded-max",
    String(random.pick([1, 10, 100_000])),
    // A long-poll that nobody answers would outlast the round.
    "--long-poll-timeout-ms",
    "1000",
    "--sse-timeout-ms",
    String(random.pick([300, 60_000])),
  ]
}

const CHANNELS = 3
const WRITERS = 12
const READERS = 16
/** For each piece of bytes that passes. */
const CUT_PROBABILITY = 0.004
const CATCH_UP_MS_MAX = 20_000
