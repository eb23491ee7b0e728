import { type Answer, header, type Http } from "../support/http.ts"
import { decode, type Format } from "./content.ts"

/** What a reader finds at a path. */
export interface View {
  status: number
  messages: readonly string[]
  closed: boolean
}

/** Reads all of a stream, from the start or from `offset` to the tail. */
export async function readAll(
  http: Http,
  path: string,
  format: Format,
  offset = "-1",
): Promise<View & { tail: string }> {
  const messages: string[] = []
  let text = ""
  let tail = offset
  for (;;) {
    const answer = await http.send({ method: "GET", path: `${path}?offset=${tail}` })
    if (answer.status !== 200) {
      return { status: answer.status, messages: [], closed: false, tail }
    }
    if (format === "json") messages.push(...decode(format, answer.body.toString()))
    else text += answer.body.toString()
    tail = header(answer.headers, "stream-next-offset") ?? tail
    if (header(answer.headers, "stream-up-to-date") === "true") {
      if (format !== "json") messages.push(...decode(format, text))
      const closed = header(answer.headers, "stream-closed") === "true"
      return { status: 200, messages, closed, tail }
    }
  }
}

/** The streams that the server's own listing names, in order. */
export async function listed(http: Http): Promise<string[]> {
  const { messages } = await readAll(http, `${ROOT}__registry__`, "json")
  const paths = new Set<string>()
  for (const message of messages as unknown as RegistryEvent[]) {
    const isNew = message.headers.operation === "insert"
    // An insert of what is there, or a delete of what is not, would be an event too many.
    check(paths.has(message.key) !== isNew, () => `__registry__: ${JSON.stringify(message)} again`)
    if (isNew) paths.add(message.key)
    else paths.delete(message.key)
  }
  return [...paths].map((path) => ROOT + path).sort()
}

interface RegistryEvent {
  key: string
  headers: { operation: "insert" | "delete" }
}

/** Where streams are. */
export const ROOT = "/v1/stream/"

/** An assertion whose message says what was asked and what came. */
export function check(isRight: boolean, explain: () => string): asserts isRight {
  if (!isRight) throw new Error(explain())
}

export function describeAnswer(answer: Answer): string {
  const fields = Object.entries(answer.headers)
    .filter(([name]) => name.startsWith("stream-") || name.startsWith("producer-"))
    .map(([name, value]) => `${name}: ${String(value)}`)
  return [`${answer.status}`, ...fields, answer.body.toString().slice(0, 200)].join(", ")
}

/** Says where two lists part, in a line instead of a page. */
export function difference(found: readonly string[], expected: readonly string[]): string {
  let at = 0
  while (at < found.length && at < expected.length && found[at] === expected[at]) at += 1
  const show = (list: readonly string[]) =>
    list.slice(Math.max(0, at - 1), at + 2).map((message) => message.slice(0, 60))
  return (
    `${found.length} messages where ${expected.length} were expected, the same up to ${at}: ` +
    `found ${JSON.stringify(show(found))}, expected ${JSON.stringify(show(expected))}`
  )
}
