// docs/PROTOCOL.md and docs/protocol.schema.json say the same. That the server says so, too, is
// checked where it is written: crates/floe-surfaces/src/live/document_tests.rs.
import { readFileSync } from "node:fs"
import { Ajv2020 } from "ajv/dist/2020.js"
import { describe, expect, test } from "vitest"

type Schema = { [key: string]: unknown }

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8")
const schema = JSON.parse(read("protocol.schema.json")) as Schema & { $defs: Record<string, Schema> }
const document = read("PROTOCOL.md")

/** The examples of one side: a block holds one frame after the other. */
function examples(side: "client" | "server"): string[] {
  const blocks = document.matchAll(new RegExp(`\`\`\`json ${side}\\n([^]*?)\`\`\``, "g"))
  return [...blocks].flatMap(([, block]) => block!.split(/\n(?=\{)/)).map((frame) => frame.trim())
}

/** The schema without room for fields that it does not name. */
function strict(): Schema {
  const copy = structuredClone(schema)
  for (const [name, frame] of Object.entries(copy.$defs)) {
    if (name.startsWith("server.") || ["member", "entry", "event"].includes(name)) {
      frame.additionalProperties = false
    }
  }
  return copy
}

function validator(schema: Schema, frame: string) {
  const ajv = new Ajv2020({ strictTypes: false, strictRequired: false })
  ajv.addSchema(schema, "protocol")
  const validate = ajv.getSchema(`protocol#/$defs/${frame}`)!
  return (value: unknown) => (validate(value) ? undefined : ajv.errorsText(validate.errors))
}

describe("the examples of the document fit the schema", () => {
  for (const side of ["client", "server"] as const) {
    const validate = validator(strict(), `${side}Frame`)
    test.for(examples(side).map((frame) => [frame]))(`${side} %s`, ([frame]) => {
      expect(validate(JSON.parse(frame!))).toBeUndefined()
    })
  }

  test("and each kind of frame has one", () => {
    const shown = (["client", "server"] as const).flatMap((side) =>
      examples(side).map((frame) => `${side}.${(JSON.parse(frame) as { type: string }).type}`),
    )
    const known = Object.keys(schema.$defs).filter((name) => name.includes("."))
    expect([...new Set(shown)].sort()).toEqual(known.sort())
  })
})

describe("the schema refuses what the server refuses", () => {
  const validate = validator(schema, "clientFrame")
  const channel = "channel/0001020304ff"
  const wrong: unknown[] = [
    [],
    {},
    { type: "hello" },
    { type: "ping", pong: 1 },
    { type: "ping", room: channel },
    { type: "ping", id: 1.5 },
    { type: "ping", id: 2 ** 53 },
    { type: "ping", id: "x".repeat(65) },
    { type: "join" },
    { type: "join", room: "lobby" },
    { type: "join", room: "channel/0001020304FF" },
    { type: "join", room: "stream/" },
    { type: "join", room: channel, after: -1 },
    { type: "join", room: channel, after: "then" },
    { type: "join", room: channel, presence: true },
    { type: "join", room: channel, data: 1 },
    { type: "join", room: channel, presence: "watch", data: 1 },
    { type: "join", room: channel, memory: 1 },
    { type: "join", room: channel, user: "" },
    { type: "join", room: channel, limit: 2 ** 32 },
    { type: "append", room: channel },
    { type: "append", room: channel, data: 1 },
    { type: "append", room: channel, content: "x", targetSeq: 1 },
    { type: "append", room: channel, content: "x", removed: true },
    { type: "append", room: channel, kind: "edit", content: "x" },
    { type: "append", room: channel, kind: "edit", content: "x", targetSeq: 0 },
    { type: "append", room: channel, kind: "deletion", content: "x", targetSeq: 1 },
    { type: "append", room: channel, events: [] },
    { type: "append", room: channel, events: [{}] },
    { type: "append", room: channel, events: [{ content: "x", type: "message" }] },
    { type: "append", room: channel, events: [{ content: "x" }], content: "x" },
    { type: "append", room: "stream/a" },
    { type: "append", room: "stream/a", data: 1, content: "x" },
    { type: "append", room: "stream/a", data: 1, kind: "message" },
    { type: "append", room: "stream/a", data: 1, idempotencyKey: "" },
    { type: "rpc", room: "room/a" },
    { type: "rpc", room: "stream/a", method: "getUsage" },
    { type: "rpc", room: "room/a//b", method: "getUsage" },
    { type: "rpc", room: "room/a", method: "getUsage", payload: [] },
    { type: "rpc", room: "room/a", method: "getUsage", data: {} },
    { type: "typing", room: channel },
    { type: "typing", room: channel, typing: "yes" },
    { type: "presence", room: channel },
    { type: "members", room: channel, limit: 0 },
    { type: "memory", room: channel },
    { type: "memory", room: channel, op: "x" },
    { type: "memory", room: channel, op: "set", key: "k" },
    { type: "memory", room: channel, op: "set", key: "k", value: 1, ttlMs: 0 },
    { type: "memory", room: channel, op: "delete", key: "k", value: 1 },
    { type: "memory", room: channel, op: "delete", key: "" },
    { type: "memory", room: channel, op: "list", key: "k" },
  ]
  test.for(wrong.map((frame) => [JSON.stringify(frame)]))("%s", ([frame]) => {
    expect(validate(JSON.parse(frame!))).toBeDefined()
  })
})
