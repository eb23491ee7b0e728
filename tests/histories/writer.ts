import { setTimeout as sleep } from "node:timers/promises"

import { check, describeAnswer } from "../crash/client.ts"
import { ConnectionLost, type Http } from "../support/http.ts"
import type { Random } from "../support/random.ts"
import { type LogEvent, type Ledger } from "./ledger.ts"
import { LiveSocket, mayPass } from "./socket.ts"

export type WritesBy = (typeof WRITES_BY)[number]

/** `kept` has no idempotency keys: what got no answer is never sent again. */
export const WRITES_BY = ["websocket", "websocket", "rest", "rest", "kept"] as const

/** Writes to channels, one request after the other, and sends again what got no answer. */
export class Writer {
  readonly #name: string
  readonly #by: WritesBy
  readonly #http: Http
  readonly #origin: string
  readonly #random: Random
  #socket: LiveSocket | undefined
  #count = 0
  /** The newest request that was acknowledged, to be sent again for nothing. */
  #last: { request: Request; seq: number } | undefined

  constructor(name: string, by: WritesBy, http: Http, origin: string, random: Random) {
    this.#name = name
    this.#by = by
    this.#http = http
    this.#origin = origin
    this.#random = random
  }

  /** Writes until `isOver`; what was begun is finished. */
  async work(ledgers: readonly Ledger[], isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const ledger = this.#random.pick(ledgers)
      const request = this.#next(ledger)
      const seq = await this.#settle(request)
      if (seq !== undefined) {
        ledger.acknowledge(request.contents, seq)
        this.#last = { request, seq }
        if (this.#random.chance(0.15)) await this.#readBack(ledger, request, seq)
      }
      if (this.#random.chance(0.1) && this.#last !== undefined && this.#by !== "kept") {
        const { request, seq } = this.#last
        const again = await this.#settle(request)
        check(again === seq, () => `${request.key} is ${seq}, and sent again ${again}`)
      }
      if (this.#random.chance(0.03)) this.#socket?.cut()
      if (this.#random.chance(0.3)) await sleep(this.#random.between(0, 20))
    }
    this.#socket?.cut()
  }

  #next(ledger: Ledger): Request {
    this.#count += 1
    const key = `${this.#name}/${String(this.#count).padStart(6, "0")}`
    const isBatch = this.#by !== "kept" && this.#random.chance(0.25)
    const size = isBatch ? this.#random.between(2, 6) : 1
    const filler = "abcdefghij".repeat(this.#random.chance(0.02) ? 900 : this.#random.between(0, 20))
    const contents = Array.from({ length: size }, (_, index) => `${key}/${index} ${filler}`)
    ledger.begin(contents, key)
    return { ledger, key, contents }
  }

  /** Sends a request until it is answered; without a key, once. */
  async #settle(request: Request): Promise<number | undefined> {
    const deadline = Date.now() + SETTLE_MS_MAX
    for (;;) {
      const outcome = await this.#send(request)
      if (outcome !== undefined) return outcome
      if (this.#by === "kept") return undefined
      check(Date.now() < deadline, () => `${request.key} was not answered in ${SETTLE_MS_MAX} ms`)
      await sleep(this.#random.between(5, 50))
    }
  }

  #send(request: Request): Promise<number | undefined> {
    return this.#by === "websocket" ? this.#sendFrame(request) : this.#post(request)
  }

  async #sendFrame({ ledger, key, contents }: Request): Promise<number | undefined> {
    if (!this.#socket?.isOpen) this.#socket = await LiveSocket.open(this.#origin)
    const events = contents.map((content) => ({ content }))
    const answer = await this.#socket?.ask({
      type: "append",
      room: `channel/${ledger.channel}`,
      authorId: this.#name,
      idempotencyKey: key,
      ...(events.length > 1 ? { events } : events[0]),
    })
    if (answer === undefined) return undefined
    if (answer.type === "error" && mayPass(answer.code)) return undefined
    check(
      answer.type === "ack" && answer.seq !== undefined && answer.count === contents.length,
      () => `${key} was answered ${JSON.stringify(answer)}`,
    )
    return answer.seq
  }

  async #post({ ledger, key, contents }: Request): Promise<number | undefined> {
    const isKept = this.#by === "kept"
    const events = contents.map((content) => ({ content }))
    const body = {
      authorId: this.#name,
      ...(isKept ? { channelId: ledger.channel } : {}),
      ...(events.length > 1 ? { events } : events[0]),
    }
    const path = isKept ? "/channel/append" : `/v1/channels/${ledger.channel}/events`
    const headers = isKept ? {} : { "idempotency-key": key }
    const answer = await this.#http
      .send({ method: "POST", path, headers, body: JSON.stringify(body) })
      .catch(unlessLost)
    if (answer === undefined || answer.status === 503) return undefined
    check(answer.status === 200 || answer.status === 201, () => `${key}: ${describeAnswer(answer)}`)
    const found = JSON.parse(answer.body.toString()) as { event?: LogEvent; events?: LogEvent[] }
    const told = found.events ?? (found.event === undefined ? [] : [found.event])
    check(told.length === contents.length, () => `${key}: ${describeAnswer(answer)}`)
    for (const event of told) ledger.see(`the answer to ${key}`, event)
    return told.at(-1)?.seq
  }

  /** Whoever was told that it is written finds it, wherever it looks. */
  async #readBack({ channel }: Ledger, { key, contents }: Request, seq: number): Promise<void> {
    const after = seq - 1
    const offset = String(after).padStart(16, "0")
    const path = this.#random.pick([
      `/v1/channels/${channel}/events?afterSeq=${after}&limit=1`,
      `/v1/channels/${channel}/poll?afterSeq=${after}&limit=1`,
      `/v1/channels/${channel}/query?afterSeq=${after}&limit=1&waitFor=${seq}`,
      `/v1/stream/__channel__/${channel}?offset=${offset}`,
    ])
    const answer = await this.#http.send({ method: "GET", path }).catch(unlessLost)
    if (answer === undefined || answer.status === 503) return
    check(answer.status === 200, () => `${path}: ${describeAnswer(answer)}`)
    const found = JSON.parse(answer.body.toString()) as LogEvent[] | { events: LogEvent[] }
    const [first] = Array.isArray(found) ? found : found.events
    check(
      first?.seq === seq && first.content === contents.at(-1),
      () => `${key} is acknowledged as ${seq}, but ${path} has ${JSON.stringify(first)}`,
    )
  }
}

interface Request {
  readonly ledger: Ledger
  readonly key: string
  readonly contents: readonly string[]
}

/** Turns a lost connection into `undefined`. */
export function unlessLost(error: unknown): undefined {
  if (!(error instanceof ConnectionLost)) throw error
}

/** The server is away for less than that. */
const SETTLE_MS_MAX = 20_000
