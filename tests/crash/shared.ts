import { ConnectionLost, header, type Http } from "../support/http.ts"
import type { Random } from "../support/random.ts"
import { check, describeAnswer, readAll, ROOT } from "./client.ts"
import { CONTENT_TYPES, encode, type Format, makeMessages } from "./content.ts"

/** A stream that several idempotent producers write to at once. */
export class SharedStream {
  readonly path: string
  readonly format: Format
  readonly producers: Producer[]
  readonly #random: Random
  /** Every request ever made, by the id that its messages start with. */
  readonly #writes = new Map<string, Write>()
  #isCreated = false

  constructor(name: string, format: Format, producers: number, random: Random) {
    this.path = ROOT + name
    this.format = format
    this.#random = random
    this.producers = Array.from({ length: producers }, (_, index) => ({
      id: `${name}-${index}`,
      epoch: 0,
      seq: 0,
      pending: undefined,
      last: undefined,
      previous: undefined,
    }))
  }

  async create(http: Http): Promise<void> {
    const answer = await http.send({
      method: "PUT",
      path: this.path,
      headers: { "content-type": CONTENT_TYPES[this.format] },
    })
    const expected = this.#isCreated ? [200] : [200, 201]
    check(expected.includes(answer.status), () => `create: ${describeAnswer(answer)}`)
    this.#isCreated = true
  }

  /** One producer's life until the connection is lost or `isOver`; counts what is acknowledged. */
  async work(http: Http, producer: Producer, isOver: () => boolean): Promise<number> {
    let acknowledged = 0
    while (!isOver()) {
      const write = this.#next(producer)
      producer.pending = write
      const answer = await this.#send(http, producer, write).catch(unlessLost)
      // An overloaded or stopping server has not carried it out; the next start looks again.
      if (answer === undefined || answer.status === 503) break
      check(answer.status === 200, () => `${this.path} ${write.id}: ${describeAnswer(answer)}`)
      this.#acknowledge(producer, write, header(answer.headers, "stream-next-offset"))
      acknowledged += 1
    }
    return acknowledged
  }

  /**
   * Compares what is stored with what was acknowledged, then sends again what was under way: it
   * must land exactly once.
   */
  async recover(http: Http, doubts: Doubts): Promise<readonly string[]> {
    const found = await readAll(http, this.path, this.format)
    check(found.status === 200, () => `${this.path}: read answered ${found.status}`)
    const landed = this.#compare(found.messages)
    let isChanged = false
    for (const producer of this.producers) {
      const write = producer.pending
      if (write === undefined) continue
      const answer = await this.#send(http, producer, write)
      const expected = landed.has(write.id) ? 204 : 200
      check(
        answer.status === expected,
        () =>
          `${this.path} ${write.id} was ${expected === 204 ? "" : "not "}there before its ` +
          `retry, which answered ${describeAnswer(answer)}`,
      )
      isChanged ||= expected === 200
      doubts.requests += 1
      if (expected === 204) doubts.landed += 1
      this.#acknowledge(producer, write, undefined)
    }
    if (!isChanged) return found.messages
    const after = await readAll(http, this.path, this.format)
    this.#compare(after.messages)
    check(
      found.messages.every((message, index) => message === after.messages[index]),
      () => `${this.path}: a retry changed what stood before`,
    )
    return after.messages
  }

  /** Asks what only the producers' own state can answer. */
  async probeProducers(http: Http): Promise<void> {
    const producer = this.#random.pick(this.producers)
    const { last } = producer
    if (last?.epoch === producer.epoch) {
      const again = await this.#send(http, producer, last)
      check(
        again.status === 204 && header(again.headers, "producer-seq") === String(last.seq),
        () => `${this.path} ${last.id} sent again: ${describeAnswer(again)}`,
      )
      const ahead = await this.#send(http, producer, { ...last, seq: producer.seq + 3 })
      check(
        ahead.status === 409 &&
          header(ahead.headers, "producer-expected-seq") === String(producer.seq),
        () => `${this.path} ${last.id} sent with a gap: ${describeAnswer(ahead)}`,
      )
    }
    const { previous } = producer
    if (previous !== undefined && last?.epoch === producer.epoch) {
      const stale = await this.#send(http, producer, previous)
      check(
        stale.status === 403 &&
          header(stale.headers, "producer-epoch") === String(producer.epoch),
        () => `${this.path} ${previous.id} of an old epoch: ${describeAnswer(stale)}`,
      )
    }
    if (last?.epoch === producer.epoch && this.#random.chance(0.3)) {
      producer.previous = last
      producer.epoch += 1
      producer.seq = 0
    }
  }

  #next(producer: Producer): Write {
    const id = `${producer.id}.${producer.epoch}.${producer.seq}`
    const write: Write = {
      id,
      producer: producer.id,
      epoch: producer.epoch,
      seq: producer.seq,
      messages: makeMessages(this.#random, this.format, id),
      isAcknowledged: false,
      end: undefined,
    }
    this.#writes.set(id, write)
    return write
  }

  #send(http: Http, producer: Producer, write: Write) {
    return http.send({
      method: "POST",
      path: this.path,
      headers: {
        "content-type": CONTENT_TYPES[this.format],
        "producer-id": producer.id,
        "producer-epoch": String(write.epoch),
        "producer-seq": String(write.seq),
      },
      body: encode(this.format, write.messages),
    })
  }

  #acknowledge(producer: Producer, write: Write, end: string | undefined) {
    write.isAcknowledged = true
    write.end = end
    producer.pending = undefined
    producer.last = write
    producer.seq = write.seq + 1
  }

  /** Checks a whole read and returns the ids of the requests whose messages are in it. */
  #compare(found: readonly string[]): Set<string> {
    const seen = new Set<string>()
    const newest = new Map<string, Write>()
    let end = ""
    for (let at = 0; at < found.length; ) {
      const message = found[at] ?? ""
      const id = message.slice(0, message.indexOf("/"))
      const write = this.#writes.get(id)
      check(write !== undefined, () => `${this.path}: nobody wrote ${message.slice(0, 80)}`)
      check(!seen.has(id), () => `${this.path}: ${id} is there twice`)
      seen.add(id)
      write.messages.forEach((expected, index) => {
        check(
          found[at + index] === expected,
          () => `${this.path}: message ${index} of ${id} is ${found[at + index]?.slice(0, 80)}`,
        )
      })
      at += write.messages.length
      const before = newest.get(write.producer)
      check(
        before === undefined ||
          before.epoch < write.epoch ||
          (before.epoch === write.epoch && before.seq < write.seq),
        () => `${this.path}: ${id} comes after ${before?.id}`,
      )
      newest.set(write.producer, write)
      if (write.end !== undefined) {
        check(end < write.end, () => `${this.path}: ${id} stands where its offset does not`)
        end = write.end
      }
    }
    for (const write of this.#writes.values()) {
      check(!write.isAcknowledged || seen.has(write.id), () => `${this.path}: lost ${write.id}`)
    }
    return seen
  }
}

export interface Producer {
  readonly id: string
  epoch: number
  /** The number of the next request. */
  seq: number
  /** Sent, and not answered. */
  pending: Write | undefined
  /** The newest that was acknowledged. */
  last: Write | undefined
  /** The newest of the epoch before this one. */
  previous: Write | undefined
}

interface Write {
  readonly id: string
  readonly producer: string
  readonly epoch: number
  readonly seq: number
  readonly messages: readonly string[]
  isAcknowledged: boolean
  /** The offset after it, where an answer told. */
  end: string | undefined
}

/** Requests without an answer, and how many of them had been carried out. */
export interface Doubts {
  requests: number
  landed: number
}

/** Turns a lost connection into `undefined`. */
export function unlessLost(error: unknown): undefined {
  if (!(error instanceof ConnectionLost)) throw error
}
