// The WebSocket of the server, as an echo (crates/floe-surfaces/examples/websocket_echo.rs), and a
// client that the whole world uses: what the Autobahn test suite asks, where there is no Python 2.7.
import { spawn, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { type AddressInfo, connect, createServer } from "node:net"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { WebSocket } from "ws"

const program = process.env.FLOE_WEBSOCKET_ECHO
if (!program) throw new Error("FLOE_WEBSOCKET_ECHO names the echo server")
let url: string
let server: ChildProcess

beforeAll(async () => {
  const probe = createServer().listen(0, "127.0.0.1")
  await once(probe, "listening")
  const { port } = probe.address() as AddressInfo
  await new Promise((done) => probe.close(done))
  url = `ws://127.0.0.1:${port}`
  server = spawn(program, [`127.0.0.1:${port}`], { stdio: "inherit" })
  for (let tries = 0; tries < 100; tries++) {
    const socket = connect(port, "127.0.0.1")
    const is_up = await new Promise((done) => {
      socket.once("connect", () => done(true)).once("error", () => done(false))
    })
    socket.destroy()
    if (is_up) return
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error("the echo server does not answer")
})

afterAll(() => server.kill())

async function opened(deflate = false): Promise<WebSocket> {
  const socket = new WebSocket(url, { perMessageDeflate: deflate && { threshold: 0 } })
  await once(socket, "open")
  expect(socket.extensions).toBe(deflate ? "permessage-deflate" : "")
  return socket
}

/** Sends the frames as they are, and returns the code of the close frame that answers them. */
async function closed_with(...frames: number[][]): Promise<number> {
  const socket = await opened()
  const raw = (socket as unknown as { _socket: NodeJS.WritableStream })._socket
  for (const frame of frames) raw.write(Uint8Array.from(frame))
  const [code] = (await once(socket, "close")) as [number]
  return code
}

/** A masked frame: the key is zero, so that the payload is as written. */
function frame(first: number, ...payload: number[]): number[] {
  return [first, 0x80 | payload.length, 0, 0, 0, 0, ...payload]
}

describe.each([false, true])("compressed: %s", (deflate) => {
  const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000]
  test.each(lengths)("text and bytes of %i come back", async (length) => {
    const socket = await opened(deflate)
    const text = "grüße, 😀 ".repeat(length).slice(0, length).replace(/[\ud800-\udbff]$/, "?")
    const bytes = Buffer.from(Array.from({ length }, (_, at) => (at * 7919) >> 5))
    for (const message of [text, bytes]) {
      socket.send(message)
      const [data, binary] = (await once(socket, "message")) as [Buffer, boolean]
      expect(binary).toBe(message === bytes)
      expect(data.equals(Buffer.from(message))).toBe(true)
    }
    socket.close(1000)
    expect((await once(socket, "close"))[0]).toBe(1000)
  })

  test("fragments are put together, with a ping between them", async () => {
    const socket = await opened(deflate)
    const pong = once(socket, "pong")
    const message = once(socket, "message")
    socket.send("one, ", { fin: false })
    socket.ping("there?")
    socket.send("", { fin: false })
    socket.send("two", { fin: true })
    expect(String((await pong)[0])).toBe("there?")
    expect(String((await message)[0])).toBe("one, two")
    socket.terminate()
  })

  test("many messages at once come back in order", async () => {
    const socket = await opened(deflate)
    const received: string[] = []
    const all = new Promise<void>((done) => {
      socket.on("message", (data) => {
        if (received.push(String(data)) === 2_000) done()
      })
    })
    const sent = Array.from({ length: 2_000 }, (_, at) => `message ${at} `.repeat(at % 40))
    for (const message of sent) socket.send(message)
    await all
    expect(received).toEqual(sent)
    socket.terminate()
  })
})

describe("closing", () => {
  test.each([1000, 1001, 1011, 3000, 4999])("with %i is answered with the same", async (code) => {
    const socket = await opened()
    socket.close(code, "bye")
    expect((await once(socket, "close"))[0]).toBe(code)
  })

  test("without a code is answered without one", async () => {
    const socket = await opened()
    socket.close()
    expect((await once(socket, "close"))[0]).toBe(1005)
  })
})

describe("what the standard forbids is closed with its code", () => {
  const hi = [0x68, 0x69]
  test.each<[string, number, number[][]]>([
    ["an unmasked frame", 1002, [[0x81, 2, ...hi]]],
    ["a reserved bit", 1002, [frame(0xc1, ...hi)]],
    ["a reserved opcode", 1002, [frame(0x83, ...hi)]],
    ["a reserved control opcode", 1002, [frame(0x8b)]],
    ["a fragmented ping", 1002, [frame(0x09)]],
    ["a long ping", 1002, [[0x89, 0xfe, 0, 126, 0, 0, 0, 0]]],
    ["a continuation of nothing", 1002, [frame(0x80, ...hi)]],
    ["a message within another", 1002, [frame(0x01, ...hi), frame(0x81, ...hi)]],
    ["half a close code", 1002, [frame(0x88, 3)]],
    ["a close code that is never sent", 1002, [frame(0x88, 3, 0xed)]],
    ["a reason that is not UTF-8", 1007, [frame(0x88, 3, 0xe8, 0xff)]],
    ["text that is not UTF-8", 1007, [frame(0x81, 0xff)]],
    ["half a character at the end", 1007, [frame(0x01, 0xf0, 0x9f), frame(0x80, 0x98)]],
    ["a wrong byte of a text that is not all there", 1007, [[0x81, 0x84, 0, 0, 0, 0, 0xed, 0xa0]]],
    ["a length of 2^63", 1002, [[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]],
    ["a message beyond the bound", 1009, [[0x82, 0xff, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]]],
  ])("%s", async (_, code, frames) => {
    expect(await closed_with(...frames)).toBe(code)
  })
})
