/** One server-sent event. */
export interface Event {
  name: string
  data: string
}

/** Cuts a stream of text into server-sent events; a part of one is kept until its end comes. */
export class EventParser {
  #text = ""

  /** The events that end in `text`. */
  push(text: string): Event[] {
    this.#text += text
    const blocks = this.#text.split("\n\n")
    this.#text = blocks.pop() ?? ""
    return blocks.map(eventOf)
  }
}

function eventOf(block: string): Event {
  const event: Event = { name: "message", data: "" }
  const data: string[] = []
  for (const line of block.split("\n")) {
    const [, field, value] = /^(\w+): ?(.*)$/s.exec(line) ?? []
    if (field === "event") event.name = value ?? ""
    if (field === "data") data.push(value ?? "")
  }
  event.data = data.join("\n")
  return event
}
