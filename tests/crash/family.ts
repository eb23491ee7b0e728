import { type Answer, header, type Http, type Request } from "../support/http.ts"
import type { Random } from "../support/random.ts"
import { check, describeAnswer, difference, readAll, ROOT, type View } from "./client.ts"
import { CONTENT_TYPES, encode, type Format, FORMATS, makeMessages } from "./content.ts"
import { type Doubts, unlessLost } from "./shared.ts"

/**
 * Streams that one worker alone creates, fills, forks, closes and deletes, one request after the
 * other. So it knows exactly what must be there: at most one request is in doubt.
 */
export class Family {
  readonly #name: string
  readonly #random: Random
  /** By path; deleted streams stay as long as forks hold them. */
  readonly #streams = new Map<string, Stream>()
  readonly #gone = new Set<string>()
  #pending: Step | undefined
  #count = 0

  constructor(name: string, random: Random) {
    this.#name = name
    this.#random = random
  }

  /** Works until the connection is lost or `isOver`; counts what is acknowledged. */
  async work(http: Http, isOver: () => boolean): Promise<number> {
    let acknowledged = 0
    while (!isOver()) {
      const step = this.#next()
      this.#pending = step
      const answer = await http.send(step.request).catch(unlessLost)
      if (answer === undefined || answer.status === 503) break
      this.#finish(step, step.fresh, answer)
      acknowledged += 1
    }
    return acknowledged
  }

  /** Settles the request in doubt, then compares every stream with what it must be. */
  async recover(http: Http, doubts: Doubts): Promise<void> {
    const step = this.#pending
    if (step !== undefined) await this.#settle(http, step, doubts)
    for (const stream of this.#streams.values()) await this.#compare(http, stream)
    for (const path of this.#gone) {
      const answer = await http.send({ method: "HEAD", path })
      check(answer.status === 404, () => `${path} is deleted: ${describeAnswer(answer)}`)
    }
  }

  /** The request may have been carried out or not, but nothing in between. */
  async #settle(http: Http, step: Step, doubts: Doubts): Promise<void> {
    const { path } = step.request
    const found = await readAll(http, path, step.format)
    const isBefore = isSame(step.format, found, step.before)
    const isAfter = isSame(step.format, found, step.after)
    check(isBefore || isAfter, () => `${describe(step)} left ${mismatch(found, step.after)}`)
    const hasLanded = isAfter && !isBefore
    doubts.requests += 1
    if (hasLanded) doubts.landed += 1
    if (hasLanded && step.repeated.length === 0) {
      // A plain append that has landed must not be sent again.
      const head = await http.send({ method: "HEAD", path })
      this.#pending = undefined
      step.apply(header(head.headers, "stream-next-offset"))
      return
    }
    const answer = await http.send(step.request)
    // Where nothing shows the difference, either answer is right.
    const expected = isBefore && isAfter ? [...step.fresh, ...step.repeated] : undefined
    this.#finish(step, expected ?? (hasLanded ? step.repeated : step.fresh), answer)
  }

  #finish(step: Step, expected: readonly number[], answer: Answer) {
    check(
      expected.includes(answer.status),
      () => `${describe(step)} answered ${describeAnswer(answer)} instead of ${expected.join()}`,
    )
    this.#pending = undefined
    // A repeated one that is refused names no offset: the next look at the stream will.
    step.apply(answer.status < 300 ? header(answer.headers, "stream-next-offset") : undefined)
  }

  async #compare(http: Http, stream: Stream): Promise<void> {
    const found = await readAll(http, stream.path, stream.format)
    const expected = viewOf(stream)
    check(isSame(stream.format, found, expected), () => `${stream.path}: ${mismatch(found, expected)}`)
    if (stream.isDeleted) return

    const newest = stream.appends.at(-1)
    if (newest !== undefined) newest.end ??= found.tail
    const end = newest?.end ?? stream.start
    check(found.tail === end, () => `${stream.path} ends at ${found.tail} instead of ${end}`)
    if (this.#random.chance(0.2)) {
      const same = await http.send(createRequest(stream))
      check(same.status === 200, () => `${stream.path} created again: ${describeAnswer(same)}`)
    }
    if (this.#random.chance(0.2) && stream.appends.length > 1) {
      const at = this.#random.between(0, stream.appends.length - 1)
      const offset = endOf(stream, at)
      if (offset === undefined) return
      const rest = await readAll(http, stream.path, stream.format, offset)
      const { messages } = viewOf({ ...stream, appends: stream.appends.slice(at) })
      check(
        isSame(stream.format, rest, { status: 200, messages, closed: stream.isClosed }),
        () => `${stream.path} from ${offset}: ${difference(rest.messages, messages)}`,
      )
    }
  }

  #next(): Step {
    const living = [...this.#streams.values()].filter((stream) => !stream.isDeleted)
    const open = living.filter((stream) => !stream.isClosed)
    if (living.length === 0) return this.#create()
    if (living.length > STREAMS_MAX) return this.#delete(this.#random.pick(living))
    const kind = this.#random.unit()
    if (kind < 0.06) return this.#create()
    if (kind < 0.12) return this.#fork(this.#random.pick(living))
    if (kind < 0.17) return this.#delete(this.#random.pick(living))
    if (open.length === 0) return this.#create()
    const stream = this.#random.pick(open)
    if (kind < 0.2) return this.#close(stream)
    if (kind < 0.4) return this.#appendPlainly(stream)
    return this.#appendAsProducer(stream, kind < 0.43)
  }

  #create(): Step {
    // A path that was deleted may come back, and must come back empty.
    const isAgain = this.#gone.size > 0 && this.#random.chance(0.3)
    const path = isAgain ? this.#random.pick([...this.#gone]) : this.#newPath()
    const ttlSeconds = this.#random.chance(0.3) ? this.#random.between(3_600, 9_999) : undefined
    return this.#adding(newStream(path, this.#random.pick(FORMATS), ttlSeconds))
  }

  #fork(source: Stream): Step {
    const at = this.#random.between(0, source.appends.length)
    const offset = endOf(source, at)
    if (offset === undefined) return this.#create()
    const fork = newStream(this.#newPath(), source.format, undefined)
    fork.appends = source.appends.slice(0, at).map((append) => ({ ...append }))
    fork.start = source.start
    let subOffset = 0
    const next = source.appends[at]
    if (next !== undefined && this.#random.chance(0.4)) {
      const cut = cutAppend(this.#random, source.format, next.messages)
      fork.appends.push({ messages: cut.messages, end: undefined })
      subOffset = cut.subOffset
    }
    fork.origin = { source, offset, subOffset }
    return this.#adding(fork)
  }

  /** The step that makes `stream`, which a fork's own data or a new path fills already. */
  #adding(stream: Stream): Step {
    const { format, path } = stream
    return {
      request: createRequest(stream),
      format,
      before: NOT_FOUND,
      after: viewOf(stream),
      fresh: [201],
      repeated: [200],
      apply: (end) => {
        if (stream.appends.length === 0) stream.start = end
        else (stream.appends.at(-1) as Append).end ??= end
        if (stream.origin !== undefined) stream.origin.source.forks += 1
        this.#gone.delete(path)
        this.#streams.set(path, stream)
      },
    }
  }

  #delete(stream: Stream): Step {
    const isHeld = stream.forks > 0
    return {
      request: { method: "DELETE", path: stream.path },
      format: stream.format,
      before: viewOf(stream),
      after: isHeld ? GONE : NOT_FOUND,
      fresh: [204],
      repeated: isHeld ? [410] : [404],
      apply: () => {
        stream.isDeleted = true
        this.#letGo(stream)
      },
    }
  }

  /** Forgets a deleted stream once no fork holds it, and then whatever it held itself. */
  #letGo(stream: Stream) {
    if (!stream.isDeleted || stream.forks > 0) return
    this.#streams.delete(stream.path)
    this.#gone.add(stream.path)
    const source = stream.origin?.source
    if (source === undefined) return
    source.forks -= 1
    this.#letGo(source)
  }

  #close(stream: Stream): Step {
    return {
      request: { method: "POST", path: stream.path, headers: { "stream-closed": "true" } },
      format: stream.format,
      before: viewOf(stream),
      after: { ...viewOf(stream), closed: true },
      fresh: [204],
      repeated: [204],
      apply: () => {
        stream.isClosed = true
      },
    }
  }

  #appendPlainly(stream: Stream): Step {
    const sequence = this.#random.chance(0.5) ? stream.sequence + 1 : undefined
    const headers: Record<string, string> = {}
    if (sequence !== undefined) headers["stream-seq"] = String(sequence).padStart(8, "0")
    // Sent again, a plain append would land twice; a sequence keeps that from happening.
    const repeated = sequence === undefined ? [] : [409]
    return this.#append(stream, headers, [204], repeated, () => {
      stream.sequence = sequence ?? stream.sequence
    })
  }

  #appendAsProducer(stream: Stream, closes: boolean): Step {
    const headers: Record<string, string> = {
      "producer-id": this.#name,
      "producer-epoch": "0",
      "producer-seq": String(stream.producerSeq),
    }
    if (closes) headers["stream-closed"] = "true"
    return this.#append(stream, headers, [200], [204], () => {
      stream.producerSeq += 1
      stream.isClosed = closes
    })
  }

  #append(
    stream: Stream,
    headers: Record<string, string>,
    fresh: number[],
    repeated: number[],
    apply: () => void,
  ): Step {
    this.#count += 1
    const id = `${this.#name}.${this.#count}`
    const messages = makeMessages(this.#random, stream.format, id)
    const before = viewOf(stream)
    return {
      request: {
        method: "POST",
        path: stream.path,
        headers: { "content-type": CONTENT_TYPES[stream.format], ...headers },
        body: encode(stream.format, messages),
      },
      format: stream.format,
      before,
      after: {
        status: 200,
        messages: [...before.messages, ...messages],
        closed: "stream-closed" in headers,
      },
      fresh,
      repeated,
      apply: (end) => {
        stream.appends.push({ messages, end })
        apply()
      },
    }
  }

  /** The paths of all streams that a listing must name. */
  get living(): string[] {
    const streams = [...this.#streams.values()].filter((stream) => !stream.isDeleted)
    return streams.map((stream) => stream.path)
  }

  #newPath(): string {
    this.#count += 1
    return `${ROOT}${this.#name}/${this.#count}`
  }
}

/** One request, with what a reader of its path finds before and after it. */
interface Step {
  readonly request: Request
  readonly format: Format
  readonly before: View
  readonly after: View
  /** Statuses of the first time, and of a second time; none where there must be no second. */
  readonly fresh: readonly number[]
  readonly repeated: readonly number[]
  /** Carries it out in the model; `end` is the offset that the answer named. */
  readonly apply: (end: string | undefined) => void
}

interface Stream {
  readonly path: string
  readonly format: Format
  readonly ttlSeconds: number | undefined
  origin: { readonly source: Stream; readonly offset: string; readonly subOffset: number } | undefined
  /** The offset before all data, once an answer has told. */
  start: string | undefined
  appends: Append[]
  isClosed: boolean
  isDeleted: boolean
  /** Forks that still hold its data. */
  forks: number
  producerSeq: number
  /** The highest `Stream-Seq` so far. */
  sequence: number
}

interface Append {
  readonly messages: readonly string[]
  /** The offset after it, once an answer has told. */
  end: string | undefined
}

function newStream(path: string, format: Format, ttlSeconds: number | undefined): Stream {
  return {
    path,
    format,
    ttlSeconds,
    origin: undefined,
    start: undefined,
    appends: [],
    isClosed: false,
    isDeleted: false,
    forks: 0,
    producerSeq: 0,
    sequence: 0,
  }
}

function createRequest(stream: Stream): Request {
  const headers: Record<string, string> = { "content-type": CONTENT_TYPES[stream.format] }
  if (stream.ttlSeconds !== undefined) headers["stream-ttl"] = String(stream.ttlSeconds)
  if (stream.isClosed) headers["stream-closed"] = "true"
  if (stream.origin !== undefined) {
    const { source, offset, subOffset } = stream.origin
    headers["stream-forked-from"] = source.path
    headers["stream-fork-offset"] = offset
    if (subOffset > 0) headers["stream-fork-sub-offset"] = String(subOffset)
  }
  return { method: "PUT", path: stream.path, headers }
}

function viewOf(stream: Stream): View {
  if (stream.isDeleted) return GONE
  const messages = stream.appends.flatMap((append) => append.messages)
  return { status: 200, messages, closed: stream.isClosed }
}

/** The offset after the first `count` appends. */
function endOf(stream: Stream, count: number): string | undefined {
  return count === 0 ? stream.start : stream.appends[count - 1]?.end
}

/** Takes the first part of an append: whole JSON messages, or any number of bytes. */
function cutAppend(random: Random, format: Format, messages: readonly string[]) {
  if (format === "json") {
    const subOffset = random.between(1, messages.length)
    return { messages: messages.slice(0, subOffset), subOffset }
  }
  const bytes = messages.join("")
  const subOffset = random.between(1, bytes.length)
  return { messages: [bytes.slice(0, subOffset)], subOffset }
}

function isSame(format: Format, found: View, expected: View): boolean {
  if (found.status !== expected.status || found.closed !== expected.closed) return false
  // A fork may end in the middle of a line: runs of bytes compare as a whole.
  return encode(format, found.messages) === encode(format, expected.messages)
}

function mismatch(found: View, expected: View): string {
  const state = (view: View) => `${view.status}${view.closed ? " closed" : ""}`
  return (
    `found ${state(found)}, expected ${state(expected)}, ` +
    difference(found.messages, expected.messages)
  )
}

function describe(step: Step): string {
  const headers = Object.entries(step.request.headers ?? {}).map((entry) => entry.join(": "))
  return `${step.request.method} ${step.request.path} (${headers.join(", ")})`
}

const NOT_FOUND: View = { status: 404, messages: [], closed: false }
const GONE: View = { status: 410, messages: [], closed: false }
const STREAMS_MAX = 8
