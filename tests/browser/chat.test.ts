import type { Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"

import { Browser } from "../support/browser.ts"
import { serverOfFile } from "../support/fixture.ts"

const server = serverOfFile()
let browser: Browser
const errors: string[] = []
/** Milliseconds of a test: a way that is blocked is tried twice, a little apart. */
const PATIENCE = 180_000

beforeAll(async () => {
  browser = await Browser.start()
})
afterAll(() => browser?.close())

test("two pages share messages, answers, reactions, and who is there", { timeout: PATIENCE }, async () => {
  const [ann, bob] = [await open("ann"), await open("bob")]
  for (const page of [ann, bob]) {
    await lists(page, "#people li", ["ann · online", "bob · online"])
    await lists(page, "#via", ["websocket"])
  }
  await ann.type("#content", "hello")
  await lists(bob, "#typing", ["ann …"])
  await ann.press("#content", "Enter")
  for (const page of [ann, bob]) await lists(page, "#messages .content", ["hello"])
  await bob.hover("#messages li")
  await bob.click("#messages button[title=reply]")
  await say(bob, "hi")
  for (const page of [ann, bob]) {
    await lists(page, "#messages .content", ["hello", "hi"])
    await lists(page, "#messages .answered", ["↩ ann: hello"])
  }
  await bob.hover("#messages li")
  await bob.click("#messages li:first-child button[title=react]")
  for (const page of [ann, bob]) await lists(page, ".reactions button", ["👍 1"])
  const pressed = (page: Page) => page.locator(".reactions button[aria-pressed=true]").count()
  expect([await pressed(ann), await pressed(bob)]).toEqual([0, 1])
  await ann.selectOption("#status", "dnd")
  await lists(bob, "#people li", ["ann · dnd", "bob · online"])
})

test("a page whose WebSockets are blocked goes on by events, and without those by polling", { timeout: PATIENCE }, async () => {
  const ann = await open("ann")
  const bob = await open("bob", ["WebSocket"])
  const cem = await open("cem", ["WebSocket", "EventSource"])
  await lists(bob, "#via", ["events"])
  await lists(cem, "#via", ["polling"])
  for (const [page, text] of [[ann, "one"], [bob, "two"], [cem, "three"]] as const) await say(page, text)
  for (const page of [ann, bob, cem]) {
    await expect.poll(() => page.locator("#messages .content").allTextContents(), { timeout: 30_000 })
      .toEqual(expect.arrayContaining(["one", "two", "three"]))
  }
})

test("what was said meanwhile is there after a restart", { timeout: PATIENCE }, async () => {
  const page = await open("dan")
  expect(await server().stop()).toEqual({ code: 0, signal: null })
  await page.waitForSelector("#state[data-state=away]")
  await server().restart()
  await page.waitForSelector("#state[data-state=live]", { timeout: 60_000 })
  await say(page, "back")
  await expect.poll(() => page.locator("#messages .content").allTextContents(), { timeout: 30_000 })
    .toEqual(expect.arrayContaining(["hello", "hi", "one", "back"]))
  expect(errors).toEqual([])
})

test("a voice room leads to its page", { timeout: PATIENCE }, async () => {
  // A browser has six connections to a server at most, and pages without WebSockets hold theirs.
  for (const page of browser.context.pages()) await page.close()
  const page = await open("ann")
  const made = await fetch(`${server().url}/v1/waddles/lobby/channels`, {
    method: "POST",
    body: JSON.stringify({ name: "lounge", kind: "voice", userId: "ann" }),
  })
  const { id } = (await made.json()) as { id: string }
  await lists(page, "#channels a", ["🔊 lounge"])
  const opened = browser.context.waitForEvent("page")
  await page.click("#channels a")
  const room = await opened
  await expect.poll(() => room.inputValue("#room"), { timeout: 30_000 }).toBe(id)
  expect(await room.inputValue("#name")).toBe("ann")
})

async function say(page: Page, text: string): Promise<void> {
  await page.fill("#content", text)
  await page.press("#content", "Enter")
}

/** Opens the page under a name, without some of what browsers have. */
async function open(name: string, blocked: string[] = []): Promise<Page> {
  const page = await browser.context.newPage()
  page.on("pageerror", (error) => errors.push(error.message))
  await page.addInitScript((user) => sessionStorage.setItem("name", user), name)
  await page.addInitScript((names) => {
    for (const name of names) {
      // As behind a proxy that knows no such thing: it is tried, and never comes to be.
      Object.assign(globalThis, {
        [name]: class {
          onclose?: (event: { code: number }) => void
          onerror?: () => void
          constructor() {
            setTimeout(() => {
              this.onclose?.({ code: 1006 })
              this.onerror?.()
            })
          }
          close() {}
        },
      })
    }
  }, blocked)
  await page.goto(`${server().url}/chat`)
  await page.waitForSelector("#state[data-state=live]", { timeout: 60_000 })
  return page
}

/** Waits until the elements read so. */
async function lists(page: Page, selector: string, wanted: string[]): Promise<void> {
  const texts = () => page.locator(selector).allTextContents()
  await expect.poll(texts, { timeout: 30_000 }).toEqual(wanted)
}
