import { check } from "../crash/client.ts"

/**
 * All that anybody knows of one channel: what was written, what was acknowledged and what was seen.
 * Whoever learns something says so here, and is told when it contradicts what somebody else knows.
 */
export class Ledger {
  readonly channel: string
  /** Events by their place, as whoever saw them first did. */
  readonly #events: (string | undefined)[] = []
  /** Who saw them first. */
  readonly #witnesses: string[] = []
  /** What was acknowledged, by its place. */
  readonly #acknowledged = new Map<number, string>()
  readonly #writes = new Map<string, Write>()

  constructor(channel: string) {
    this.channel = channel
  }

  /** The highest `seq` that anybody has seen or was told. */
  get head(): number {
    return Math.max(this.#events.length, ...this.#acknowledged.keys(), 0)
  }

  /** Writes that were acknowledged. */
  get acknowledged(): number {
    return this.#acknowledged.size
  }

  /** Notes that somebody sets out to write `contents`, all or none, with a key or at most once. */
  begin(contents: readonly string[], order: string): void {
    contents.forEach((content, index) => {
      this.#writes.set(content, { order, size: contents.length, index, seq: undefined })
    })
  }

  /** Notes that `contents` were acknowledged, the last of them with `last`. */
  acknowledge(contents: readonly string[], last: number): void {
    contents.forEach((content, index) => {
      const seq = last - contents.length + 1 + index
      const write = this.#writes.get(content)
      check(write !== undefined, () => `${this.channel}: ${content} was never begun`)
      check(
        write.seq === undefined || write.seq === seq,
        () => `${this.channel}: ${content} was acknowledged as ${write.seq} and as ${seq}`,
      )
      const other = this.#acknowledged.get(seq)
      check(
        other === undefined || other === content,
        () => `${this.channel}: ${seq} was acknowledged to ${other} and to ${content}`,
      )
      const seen = this.#events[seq - 1]
      check(
        seen === undefined || contentOf(seen) === content,
        () => `${this.channel}: ${content} was acknowledged as ${seq}, which ${this.#first(seq)}`,
      )
      write.seq = seq
      this.#acknowledged.set(seq, content)
    })
  }

  /** Notes that `who` saw an event; its place follows from itself. */
  see(who: string, event: LogEvent): void {
    const { seq } = event
    check(
      event.id === `${this.channel}-${seq}`,
      () => `${this.channel}: event ${seq} is called ${event.id}`,
    )
    const text = JSON.stringify(event)
    const before = this.#events[seq - 1]
    check(
      before === undefined || before === text,
      () => `${this.channel}: ${who} saw ${text} as ${seq}, which ${this.#first(seq)}`,
    )
    const content = this.#acknowledged.get(seq)
    check(
      content === undefined || content === event.content,
      () => `${this.channel}: ${seq} was acknowledged to ${content}, but ${who} saw ${text}`,
    )
    check(
      this.#writes.has(event.content),
      () => `${this.channel}: ${who} saw what nobody wrote: ${text}`,
    )
    this.#events[seq - 1] = text
    this.#witnesses[seq - 1] ??= who
  }

  /** Compares the whole channel, as it is at the end, with everything that is known. */
  conclude(events: readonly LogEvent[]): void {
    events.forEach((event, index) => {
      check(
        event.seq === index + 1,
        () => `${this.channel}: place ${index + 1} has ${event.seq}`,
      )
      this.see("the last reader", event)
    })
    check(
      this.head === events.length,
      () => `${this.channel}: ends at ${events.length}, but ${this.head} was known: ${this.#first(this.head)}`,
    )
    const places = new Map<string, number>()
    const newest = new Map<string, { order: string; seq: number }>()
    for (const { content, seq } of events) {
      const other = places.get(content)
      check(other === undefined, () => `${this.channel}: ${content} is there as ${other} and ${seq}`)
      places.set(content, seq)
      // What one writer wrote one after the other stands one after the other.
      const order = this.#writes.get(content)?.order ?? ""
      const [writer = ""] = order.split("/")
      const before = newest.get(writer)
      check(
        before === undefined || before.order <= order,
        () => `${this.channel}: ${content} comes after ${before?.order}`,
      )
      newest.set(writer, { order, seq })
    }
    for (const [content, write] of this.#writes) {
      const seq = places.get(content)
      check(write.seq === undefined || write.seq === seq, () => `${this.channel}: lost ${content}`)
      if (seq === undefined || write.index === 0) continue
      const before = events[seq - 2]?.content ?? ""
      check(
        this.#writes.get(before)?.order === write.order,
        () => `${this.channel}: ${content} is there without what was written with it`,
      )
    }
  }

  #first(seq: number): string {
    const event = this.#events[seq - 1]
    if (event === undefined) return `was acknowledged to ${this.#acknowledged.get(seq)}`
    return `${this.#witnesses[seq - 1]} saw as ${event}`
  }
}

/** An event of a channel, as every transport shows it. */
export interface LogEvent {
  id: string
  seq: number
  content: string
}

/** Where one reader stands in a channel. */
export class Cursor {
  readonly ledger: Ledger
  readonly #who: string
  seq: number

  constructor(ledger: Ledger, who: string, seq: number) {
    this.ledger = ledger
    this.#who = who
    this.seq = seq
  }

  /** Takes the next event, which must be the next. */
  take(event: LogEvent): void {
    check(
      event.seq === this.seq + 1,
      () =>
        `${this.ledger.channel}: ${this.#who} stood at ${this.seq} and was sent ${event.seq}, ` +
        (event.seq > this.seq ? "a gap" : "a duplicate"),
    )
    this.ledger.see(this.#who, event)
    this.seq = event.seq
  }
}

interface Write {
  /** The writer and the number of the request, so that they compare as they were written. */
  readonly order: string
  readonly size: number
  /** Its place in its request. */
  readonly index: number
  seq: number | undefined
}

function contentOf(event: string): string {
  return (JSON.parse(event) as LogEvent).content
}
