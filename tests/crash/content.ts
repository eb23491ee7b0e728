import type { Random } from "../support/random.ts"

/** How a stream holds its messages: as JSON values, or as lines of one run of bytes. */
export type Format = "json" | "text" | "bytes"

export const FORMATS: readonly Format[] = ["json", "text", "bytes"]

export const CONTENT_TYPES: Record<Format, string> = {
  json: "application/json",
  text: "text/plain",
  bytes: "application/octet-stream",
}

/**
 * Makes the messages of one append: each starts with its id, so that whatever a read returns can
 * be traced to the request it came from.
 */
export function makeMessages(random: Random, format: Format, id: string): string[] {
  const count = random.chance(0.3) ? random.between(2, 5) : 1
  return Array.from({ length: count }, (_, index) => {
    const message = `${id}/${index}/${count} ${"abcdefghij".repeat(fillerTens(random))}`
    return format === "json" ? message : `${message}\n`
  })
}

/** The body of a request that appends `messages`. */
export function encode(format: Format, messages: readonly string[]): string {
  return format === "json" ? JSON.stringify(messages) : messages.join("")
}

/** What a read of the whole stream returns, in the shape in which two of them compare. */
export function decode(format: Format, body: string): string[] {
  if (format === "json") return JSON.parse(body) as string[]
  return body === "" ? [] : body.split(/(?<=\n)/)
}

function fillerTens(random: Random): number {
  const kind = random.unit()
  if (kind < 0.92) return random.between(0, 30)
  if (kind < 0.995) return random.between(200, 2_000)
  return random.between(5_000, 20_000)
}
