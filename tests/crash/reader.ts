import { StringDecoder } from "node:string_decoder"
import { setTimeout as sleep } from "node:timers/promises"

import { header, type Http } from "../support/http.ts"
import { EventParser } from "../support/sse.ts"
import { check, difference } from "./client.ts"
import { decode } from "./content.ts"
import { type SharedStream, unlessLost } from "./shared.ts"

/** Follows a stream from its start, over every end of the server, and remembers what it saw. */
export class Reader {
  readonly stream: SharedStream
  readonly #mode: Mode
  #offset = "-1"
  /** What came before `#offset`; messages, or for runs of bytes any pieces of them. */
  #seen: string[] = []
  /** What came after it: seen, but the reader does not know yet where to go on from. */
  #unplaced: string[] = []

  constructor(stream: SharedStream, mode: Mode) {
    this.stream = stream
    this.#mode = mode
  }

  /** Reads until the connection is lost or `isOver`. */
  async work(http: Http, isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const isAlive = this.#mode === "sse" ? await this.#events(http) : await this.#answer(http)
      if (!isAlive) break
      if (this.#mode === "catch-up") await sleep(CATCH_UP_PAUSE_MS)
    }
  }

  /** Checks that all that was seen is still there, in its place. */
  recover(messages: readonly string[]): void {
    const seen = [...this.#seen, ...this.#unplaced]
    this.#unplaced = []
    const isJson = this.stream.format === "json"
    const found = isJson ? messages : decode(this.stream.format, messages.join(""))
    const expected = isJson ? seen : decode(this.stream.format, seen.join(""))
    // A last line may have been seen in part.
    const isKept = isJson
      ? expected.every((message, index) => message === found[index])
      : found.join("").startsWith(expected.join(""))
    check(
      isKept,
      () => `${this.stream.path}: a ${this.#mode} reader saw more: ${difference(found, expected)}`,
    )
  }

  async #answer(http: Http): Promise<boolean> {
    const live = this.#mode === "long-poll" ? "&live=long-poll" : ""
    const path = `${this.stream.path}?offset=${this.#offset}${live}`
    const answer = await http.send({ method: "GET", path }).catch(unlessLost)
    if (answer === undefined || answer.status === 503) return false
    check(answer.status === 200 || answer.status === 204, () => `${path}: ${answer.status}`)
    if (answer.status === 200) {
      this.#seen.push(...decode(this.stream.format, answer.body.toString()))
    }
    this.#offset = header(answer.headers, "stream-next-offset") ?? this.#offset
    return true
  }

  async #events(http: Http): Promise<boolean> {
    const path = `${this.stream.path}?offset=${this.#offset}&live=sse`
    const message = await http.open({ method: "GET", path }).catch(unlessLost)
    if (message === undefined || message.statusCode === 503) return false
    check(message.statusCode === 200, () => `${path}: ${message.statusCode}`)
    const isBase64 = header(message.headers, "stream-sse-data-encoding") === "base64"
    const parser = new EventParser()
    const text = new StringDecoder("utf8")
    try {
      for await (const bytes of message) {
        for (const event of parser.push(text.write(bytes as Buffer))) {
          if (event.name === "control") this.#place(event.data)
          else this.#unplaced.push(...this.#decode(event.data, isBase64))
        }
      }
    } catch {
      return false
    }
    return true
  }

  #decode(data: string, isBase64: boolean): string[] {
    const text = isBase64 ? Buffer.from(data, "base64").toString() : data
    return decode(this.stream.format, text)
  }

  #place(control: string) {
    const { streamNextOffset } = JSON.parse(control) as { streamNextOffset: string }
    this.#seen.push(...this.#unplaced)
    this.#unplaced = []
    this.#offset = streamNextOffset
  }
}

const CATCH_UP_PAUSE_MS = 10

export type Mode = (typeof MODES)[number]

export const MODES = ["sse", "long-poll", "catch-up"] as const
