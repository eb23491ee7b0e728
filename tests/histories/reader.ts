import { StringDecoder } from "node:string_decoder"
import { setTimeout as sleep } from "node:timers/promises"

import { check, describeAnswer } from "../crash/client.ts"
import { header, type Http } from "../support/http.ts"
import type { Random } from "../support/random.ts"
import { EventParser } from "../support/sse.ts"
import { Cursor, type LogEvent, type Ledger } from "./ledger.ts"
import { LiveSocket, mayPass } from "./socket.ts"
import { unlessLost } from "./writer.ts"

export type ReadsBy = (typeof READS_BY)[number]

export const READS_BY = [
  "websocket",
  "websocket",
  "sse",
  "poll",
  "pages",
  "stream-sse",
  "stream-long-poll",
  "stream-pages",
] as const

/** Follows channels over every end of its connections, each from where it was. */
export class Reader {
  readonly name: string
  readonly #by: ReadsBy
  readonly #http: Http
  readonly #origin: string
  readonly #random: Random
  /** A WebSocket follows all channels, any other reader the first. */
  readonly #cursors: Cursor[]

  constructor(
    name: string,
    by: ReadsBy,
    ledgers: readonly Ledger[],
    http: Http,
    origin: string,
    random: Random,
  ) {
    this.name = `${by} reader ${name}`
    this.#by = by
    this.#http = http
    this.#origin = origin
    this.#random = random
    const followed = by === "websocket" ? ledgers : [random.pick(ledgers)]
    this.#cursors = followed.map((ledger) => new Cursor(ledger, this.name, 0))
  }

  /** Whether it has seen everything that anybody knows. */
  get isCaughtUp(): boolean {
    return this.#cursors.every((cursor) => cursor.seq >= cursor.ledger.head)
  }

  /** Where it stands. */
  toString(): string {
    const places = this.#cursors.map(({ seq, ledger }) => `${seq} of ${ledger.head}`)
    return `${this.name} at ${places.join(", ")}`
  }

  async work(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const isAlive = await this.#read(isOver)
      if (!isAlive) await sleep(this.#random.between(5, 50))
    }
  }

  #read(isOver: () => boolean): Promise<boolean> {
    const [cursor] = this.#cursors
    if (cursor === undefined || this.#by === "websocket") return this.#listen(isOver)
    const { channel } = cursor.ledger
    const after = `afterSeq=${cursor.seq}`
    switch (this.#by) {
      case "sse":
        return this.#events(cursor, `/v1/channels/${channel}/subscribe?${after}`, isOver)
      case "stream-sse":
        return this.#events(cursor, streamPath(cursor, "&live=sse"), isOver)
      case "poll":
        return this.#page(cursor, `/v1/channels/${channel}/poll?${after}&limit=100`)
      case "pages":
        return this.#page(cursor, `/v1/channels/${channel}/events?${after}&limit=7`)
      case "stream-long-poll":
        return this.#page(cursor, streamPath(cursor, "&live=long-poll"))
      case "stream-pages":
        return this.#page(cursor, streamPath(cursor, ""))
    }
  }

  /** One WebSocket, until it ends or is cut. */
  async #listen(isOver: () => boolean): Promise<boolean> {
    const socket = await LiveSocket.open(this.#origin)
    if (socket === undefined) return false
    const failed: unknown[] = []
    socket.onFrame = (frame) => {
      try {
        this.#hear(socket, frame)
      } catch (error) {
        failed.push(error)
        socket.cut()
      }
    }
    for (const cursor of this.#cursors) {
      const room = `channel/${cursor.ledger.channel}`
      const after = cursor.seq
      const answer = await socket.ask({ type: "join", room, after })
      if (answer === undefined || (answer.type === "error" && mayPass(answer.code))) {
        socket.cut()
        break
      }
      check(
        answer.type === "joined" && answer.seq === after,
        () => `${this.name} joined after ${after}: ${JSON.stringify(answer)}`,
      )
    }
    await this.#hold(isOver, socket.closed, (ms) => socket.stall(ms))
    socket.cut()
    await socket.closed
    if (failed.length > 0) throw failed[0]
    return false
  }

  #hear(socket: LiveSocket, { type, room, events, next, code }: FrameLike) {
    if (type === "closed") check(mayPass(code), () => `${this.name}: ${room} was closed: ${code}`)
    if (type === "closed") socket.cut()
    if (type !== "events") return
    const cursor = this.#cursors.find(({ ledger }) => room === `channel/${ledger.channel}`)
    check(cursor !== undefined, () => `${this.name} was told of ${room}`)
    for (const event of events as LogEvent[]) cursor.take(event)
    check(next === cursor.seq, () => `${this.name} was told ${next} after ${cursor.seq}`)
  }

  async #events(cursor: Cursor, path: string, isOver: () => boolean): Promise<boolean> {
    const message = await this.#http.open({ method: "GET", path }).catch(unlessLost)
    if (message === undefined) return false
    if (message.statusCode === 503) {
      message.destroy()
      return false
    }
    check(message.statusCode === 200, () => `${path}: ${message.statusCode}`)
    const [parser, text] = [new EventParser(), new StringDecoder("utf8")]
    const failed: unknown[] = []
    const closed = new Promise<void>((done) => message.once("close", () => done()))
    message.on("error", () => {})
    message.on("data", (bytes: Buffer) => {
      try {
        for (const { name, data } of parser.push(text.write(bytes))) {
          if (name === "message") cursor.take(JSON.parse(data) as LogEvent)
          if (name === "data") for (const event of eventsIn(data)) cursor.take(event)
        }
      } catch (error) {
        failed.push(error)
        message.destroy()
      }
    })
    await this.#hold(isOver, closed, (ms) => {
      message.pause()
      setTimeout(() => message.resume(), ms)
    })
    message.destroy()
    await closed
    if (failed.length > 0) throw failed[0]
    return false
  }

  async #page(cursor: Cursor, path: string): Promise<boolean> {
    const answer = await this.#http.send({ method: "GET", path }).catch(unlessLost)
    if (answer === undefined || answer.status === 503) return false
    check(
      answer.status === 200 || answer.status === 204,
      () => `${this.name}: ${path}: ${describeAnswer(answer)}`,
    )
    const events = answer.status === 204 ? [] : eventsIn(answer.body.toString())
    for (const event of events) cursor.take(event)
    const told = header(answer.headers, "stream-next-offset")
    check(
      told === undefined || Number(told) === cursor.seq,
      () => `${this.name} was told ${told} after ${cursor.seq}`,
    )
    const isLive = this.#by === "poll" || this.#by === "stream-long-poll"
    if (!isLive) await sleep(this.#random.between(0, 20))
    return true
  }

  /** Keeps a connection for some time, and now and then takes nothing from it. */
  async #hold(isOver: () => boolean, closed: Promise<void>, stall: (ms: number) => void) {
    let isClosed = false
    void closed.then(() => (isClosed = true))
    const until = Date.now() + this.#random.between(10, 1_500)
    while (!isClosed && !isOver() && Date.now() < until) {
      if (this.#random.chance(0.05)) stall(this.#random.between(20, 400))
      await Promise.race([closed, sleep(20)])
    }
  }
}

type FrameLike = { type: string; room?: string; events?: unknown[]; next?: number; code?: string }

function streamPath({ ledger, seq }: Cursor, live: string): string {
  // A reader that has seen nothing begins at the start.
  const offset = seq === 0 ? "-1" : String(seq).padStart(16, "0")
  return `/v1/stream/__channel__/${ledger.channel}?offset=${offset}${live}`
}

function eventsIn(text: string): LogEvent[] {
  const found = JSON.parse(text) as LogEvent[] | { events: LogEvent[] }
  return Array.isArray(found) ? found : found.events
}
