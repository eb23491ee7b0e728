import { createServer, type Server as HttpServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { Page } from "playwright-core"
import { afterAll, beforeAll, expect, test, vi } from "vitest"

import { Browser } from "../support/browser.ts"
import { serverOfFile } from "../support/fixture.ts"

// Longer than any reload takes, on however busy a machine.
const server = serverOfFile({ options: ["--presence-grace-ms", "120000"] })
let browser: Browser
let elsewhere: HttpServer
const errors: string[] = []

beforeAll(async () => {
  elsewhere = createServer((_, response) => {
    response.setHeader("content-type", "text/html")
    response.end("<!doctype html><title>elsewhere</title>")
  })
  await new Promise<void>((done) => elsewhere.listen(0, "127.0.0.1", done))
  browser = await Browser.start()
  // Each page makes the channel if it is not listed, and the list is a moment behind.
  const channels = `${server().url}/v1/channels`
  await fetch(channels, { method: "POST", body: JSON.stringify({ name: "lobby" }) })
  const listed = async () => (await (await fetch(channels)).json()).channels.length === 1
  await vi.waitUntil(listed, { timeout: 15_000 })
})
afterAll(async () => {
  await browser?.close()
  elsewhere.close()
})

test("two pages in one room see each other, what they say, and that they are typing", async () => {
  const ann = await open("ann")
  const bob = await open("bob")
  for (const page of [ann, bob]) await lists(page, "#members li", ["ann", "bob"])

  await ann.fill("#text", "hello")
  await reads(bob, "#typing", "ann typing…")
  await ann.press("#text", "Enter")
  await reads(bob, "#typing", "")
  await bob.fill("#text", "hi")
  await bob.press("#text", "Enter")
  for (const page of [ann, bob]) await lists(page, "#log li span", ["hello", "hi"])
  for (const page of [ann, bob]) await lists(page, "#log li b", ["ann: ", "bob: "])

  await ann.click("#log li button")
  for (const page of [ann, bob]) await lists(page, "#log li", ["deleted", /bob: hi/])
  expect(errors).toEqual([])
})

test("a page that loads again has not left, and misses nothing", async () => {
  const page = await open("cem")
  const watcher = await watch()
  await watcher.heard((frames) => whoIsThere(frames).includes("cem"))
  const before = (await watcher.frames()).length
  await page.reload()
  await page.waitForSelector("#state[data-state=live]")
  await lists(page, "#log li", ["deleted", /bob: hi/])
  const since = (await watcher.settled()).slice(before)
  expect(since.filter(({ type }) => type === "presence")).toEqual([])
  expect(whoIsThere(await watcher.frames())).toContain("cem")
})

test("pages come back by themselves after a restart and go on where they were", async () => {
  const page = await open("dan")
  expect(await server().stop()).toEqual({ code: 0, signal: null })
  await page.waitForSelector("#state[data-state=away]")
  // Said to nobody: it is sent once the server is back, and once only.
  await page.fill("#text", "anyone?")
  await page.press("#text", "Enter")
  await server().restart()
  await page.waitForSelector("#state[data-state=live]")
  await lists(page, "#log li", ["deleted", /bob: hi/, /dan: anyone\?/])
  const late = await open("eve")
  await lists(late, "#log li", ["deleted", /bob: hi/, /dan: anyone\?/])
})

test("a page of another origin gets no connection", async () => {
  const page = await browser.context.newPage()
  await page.goto(`http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`)
  const outcome = await page.evaluate(
    (url) =>
      new Promise<string>((done) => {
        const socket = new WebSocket(url)
        socket.onopen = () => done("open")
        socket.onclose = ({ code }) => done(`closed: ${code}`)
      }),
    live(),
  )
  expect(outcome).toBe("closed: 1006")
})

interface Frame {
  type: string
  members?: { user: string }[]
  set?: { user: string }[]
  left?: string[]
}

function live(): string {
  return `${server().url.replace("http", "ws")}/v1/live`
}

/** Opens the page of the room under a name. */
async function open(name: string): Promise<Page> {
  const page = await browser.context.newPage()
  page.on("pageerror", (error) => errors.push(error.message))
  await page.addInitScript((user) => sessionStorage.setItem("name", user), name)
  await page.goto(`${server().url}/room`)
  await page.waitForSelector("#state[data-state=live]")
  return page
}

/** Watches the room from a page, and keeps every frame. */
async function watch() {
  const page = await browser.context.newPage()
  await page.goto(`${server().url}/v1/channels`)
  await page.evaluate(async (url) => {
    const { channels } = await (await fetch("/v1/channels")).json()
    const room = `channel/${channels[0].channelId}`
    const heard: unknown[] = []
    const socket = new WebSocket(url, "floe.v1.json")
    Object.assign(window, { heard, socket })
    socket.onmessage = ({ data }) => heard.push(JSON.parse(data))
    await new Promise((done) => socket.addEventListener("open", done))
    socket.send(JSON.stringify({ type: "join", room, presence: "watch" }))
  }, live())
  const frames = () =>
    page.evaluate(() => (window as unknown as { heard: Frame[] }).heard) as Promise<Frame[]>
  const heard = async (wanted: (frames: Frame[]) => boolean) => {
    await expect.poll(async () => wanted(await frames()), { timeout: 15_000 }).toBe(true)
  }
  /** All frames that were sent before the answer to a question asked now. */
  const settled = async () => {
    await page.evaluate(() => {
      ;(window as unknown as { socket: WebSocket }).socket.send('{"type":"ping"}')
    })
    await heard((all) => all.some(({ type }) => type === "pong"))
    return frames()
  }
  return { frames, heard, settled }
}

/** Who is in the room after these frames. */
function whoIsThere(frames: Frame[]): string[] {
  let there: string[] = []
  for (const { type, members, set, left } of frames) {
    if (type !== "presence") continue
    if (members) there = []
    there = there.filter((user) => !left?.includes(user))
    for (const { user } of members ?? set ?? []) if (!there.includes(user)) there.push(user)
  }
  return there
}

/** Waits until the elements have these texts. */
async function lists(page: Page, selector: string, texts: (string | RegExp)[]) {
  const wanted = texts.map((text) =>
    typeof text === "string" ? text : (expect.stringMatching(text) as unknown as string),
  )
  await expect
    .poll(() => page.locator(selector).allTextContents(), { timeout: 15_000 })
    .toEqual(wanted)
}

async function reads(page: Page, selector: string, text: string) {
  await expect.poll(() => page.textContent(selector), { timeout: 15_000 }).toBe(text)
}
