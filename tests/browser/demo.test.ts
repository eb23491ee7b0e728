import { afterAll, beforeAll, expect, test } from "vitest"
import type { Page } from "playwright-core"

import { Browser } from "../support/browser.ts"
import { serverOfFile } from "../support/fixture.ts"

const server = serverOfFile()
let browser: Browser
let errors: string[] = []

beforeAll(async () => {
  browser = await Browser.start()
})
afterAll(() => browser?.close())

test("two windows of the page at the root see each other's messages, over a restart", async () => {
  const [one, two] = [await open(), await open()]
  await one.fill("#name", "one")
  await two.fill("#name", "two")

  await say(one, "hello")
  await sees(one, ["one: hello"])
  await sees(two, ["one: hello"])
  await say(two, "hi")
  await sees(one, ["one: hello", "two: hi"])

  expect(await server().stop()).toEqual({ code: 0, signal: null })
  await one.waitForSelector("#state[data-state=away]")
  // Said to nobody: it is sent once the server is back, and once only.
  await say(one, "anyone?")
  await server().restart()
  const all = ["one: hello", "two: hi", "one: anyone?"]
  await sees(one, all)
  await sees(two, all)

  await server().kill()
  await server().restart()
  await say(two, "still here")
  await sees(one, [...all, "two: still here"])
  await sees(two, [...all, "two: still here"])

  const late = await open()
  await sees(late, [...all, "two: still here"])
  expect(errors).toEqual([])
})

async function open(): Promise<Page> {
  const page = await browser.context.newPage()
  // What the network did while the server was away is no error of the page.
  page.on("pageerror", (error) => errors.push(error.message))
  await page.goto(server().url)
  await page.waitForSelector("#state[data-state=live]")
  return page
}

async function say(page: Page, text: string) {
  await page.fill("#text", text)
  await page.press("#text", "Enter")
}

async function sees(page: Page, messages: string[]) {
  await page
    .waitForFunction(
      (count) => document.querySelectorAll("#log li").length >= count,
      messages.length,
      { timeout: 15_000 },
    )
    .catch(() => {})
  expect(await page.locator("#log li").allTextContents()).toEqual(messages)
}
