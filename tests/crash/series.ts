import { execFile } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { promisify } from "node:util"

import { Http } from "../support/http.ts"
import type { Random } from "../support/random.ts"
import { binary, cleanEnvironment, Server } from "../support/server.ts"
import { check, difference, listed } from "./client.ts"
import { FORMATS } from "./content.ts"
import { Family } from "./family.ts"
import { MODES, Reader } from "./reader.ts"
import { type Doubts, SharedStream } from "./shared.ts"

/** Rounds of work and violent ends over one data folder. */
export class Series {
  readonly #random: Random
  readonly #data = mkdtempSync(join(tmpdir(), "floe-crash-"))
  readonly #options: readonly string[]
  readonly #shared: readonly SharedStream[]
  readonly #families: readonly Family[]
  readonly #readers: readonly Reader[]
  #server: Server | undefined
  #isNew = true
  readonly totals: Totals = { rounds: 0, acknowledged: 0, kills: 0, requests: 0, landed: 0 }

  constructor(random: Random) {
    this.#random = random
    this.#options = settings(random)
    this.#shared = Array.from({ length: SHARED_STREAMS }, (_, index) => {
      const format = FORMATS[index % FORMATS.length] ?? "json"
      return new SharedStream(`shared-${index}`, format, PRODUCERS, random.fork())
    })
    this.#families = Array.from(
      { length: FAMILIES },
      (_, index) => new Family(`family-${index}`, random.fork()),
    )
    this.#readers = Array.from(
      { length: READERS },
      (_, index) =>
        new Reader(random.pick(this.#shared), MODES[index % MODES.length] ?? "catch-up"),
    )
  }

  /** Starts, checks all that earlier rounds left, works, and ends at a random moment. */
  async round(): Promise<void> {
    const http = await this.#start()
    await this.#recover(http)
    await this.#work(http)
    http.close()
    this.totals.rounds += 1
  }

  /** Checks everything once more, stops the server as one should, and reads every checksum. */
  async finish(): Promise<void> {
    const http = await this.#start()
    await this.#recover(http)
    http.close()
    const exit = await this.#running().stop()
    check(exit.code === 0, () => `stop ended with ${JSON.stringify(exit)}`)
    await promisify(execFile)(binary(), ["inspect", this.#data, "--verify", "--json"], {
      env: cleanEnvironment(),
      maxBuffer: 64 << 20,
    })
    rmSync(this.#data, { recursive: true, force: true })
  }

  /** Ends the server after a failure; the data stay for whoever looks. Returns where and how. */
  async abandon(): Promise<string> {
    await this.#server?.kill().catch(() => {})
    return `data in ${this.#data}, options ${this.#options.join(" ")}\n${this.#server?.log ?? ""}`
  }

  async #start(): Promise<Http> {
    if (this.#server === undefined) {
      this.#server = await Server.start({ data: this.#data, options: this.#options })
    } else {
      if (this.#random.chance(0.15)) {
        // Recovery itself is cut short, and has to begin again.
        this.#server.beginRestart()
        await sleep(this.#random.between(0, 40))
        await this.#server.kill()
        this.totals.kills += 1
      }
      await this.#server.restart()
    }
    return new Http(this.#server.url)
  }

  async #recover(http: Http): Promise<void> {
    if (this.#isNew) {
      this.#isNew = false
      await Promise.all(this.#shared.map((stream) => stream.create(http)))
      return
    }
    const contents = new Map<SharedStream, readonly string[]>()
    await Promise.all([
      ...this.#shared.map(async (stream) => contents.set(stream, await stream.recover(http, this.totals))),
      ...this.#families.map((family) => family.recover(http, this.totals)),
    ])
    const paths = await listed(http)
    const living = this.#families.flatMap((family) => family.living)
    const expected = [...living, ...this.#shared.map((stream) => stream.path)].sort()
    check(
      paths.join() === expected.join(),
      () => `__registry__: ${difference(paths, expected)}`,
    )
    for (const reader of this.#readers) reader.recover(contents.get(reader.stream) ?? [])
    await Promise.all(this.#shared.map((stream) => stream.probeProducers(http)))
  }

  async #work(http: Http): Promise<void> {
    let isOver = false
    const over = () => isOver
    const writers = [
      ...this.#shared.flatMap((stream) =>
        stream.producers.map((producer) => stream.work(http, producer, over)),
      ),
      ...this.#families.map((family) => family.work(http, over)),
    ]
    const readers = this.#readers.map((reader) => reader.work(http, over))
    const everyone = Promise.all([Promise.all(writers), ...readers])
    // Whoever fails while the others still work is heard below.
    everyone.catch(() => {})

    const server = this.#running()
    const end = sleep(this.#random.between(WORK_MS_MIN, WORK_MS_MAX)).then(() => "in time")
    const first = await Promise.race([end, server.exit.then(() => "by itself"), failureOf(everyone)])
    check(first === "in time", () => `the server ended ${first}`)
    isOver = true
    if (this.#random.chance(0.1)) {
      const exit = await server.stop()
      check(exit.code === 0, () => `stop ended with ${JSON.stringify(exit)}`)
    } else {
      await server.kill()
      this.totals.kills += 1
    }
    const [acknowledged] = await everyone
    this.totals.acknowledged += acknowledged.reduce((sum, count) => sum + count, 0)
  }

  #running(): Server {
    if (this.#server === undefined) throw new Error("no server was started")
    return this.#server
  }
}

/** Counts over a whole series. */
export interface Totals extends Doubts {
  rounds: number
  acknowledged: number
  kills: number
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
    "--room-idle-timeout-ms",
    String(random.pick([1, 50, 60_000])),
    "--rooms-loaded-max",
    String(random.pick([1, 10, 100_000])),
  ]
}

const SHARED_STREAMS = 24
const PRODUCERS = 4
const FAMILIES = 12
const READERS = 12
const WORK_MS_MIN = 20
const WORK_MS_MAX = 200
