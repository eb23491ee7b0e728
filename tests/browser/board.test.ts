import type { Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"

import { Browser } from "../support/browser.ts"
import { serverOfFile } from "../support/fixture.ts"

const server = serverOfFile()
let browser: Browser
const errors: string[] = []

beforeAll(async () => {
  browser = await Browser.start()
})
afterAll(() => browser?.close())

test("two pages share tasks, and a query that stays true", async () => {
  const [ann, bob] = [await open("ann"), await open("bob")]
  for (const title of ["write", "read"]) {
    await ann.fill("#title", title)
    await ann.press("#title", "Enter")
  }
  for (const page of [ann, bob]) await lists(page, "#tasks li span", ["write", "read"])
  await bob.click("#tasks li:first-child button[title=complete]")
  for (const page of [ann, bob]) {
    await lists(page, "#tasks li.completed span", ["write"])
    await lists(page, "#rows tr:not(:first-child) td", ["completed", "1", "pending", "1"])
  }
  await ann.click("#tasks li:first-child button[title=delete]")
  for (const page of [ann, bob]) await lists(page, "#tasks li span", ["read"])
})

test("a pointer is seen where it is, by others alone", async () => {
  const [ann, bob] = [await open("ann"), await open("bob")]
  await ann.hover("#pad", { position: { x: 40, y: 30 } })
  await lists(bob, "#pad span", ["ann"])
  await lists(ann, "#pad span", [])
})

test("a slider that moves is stored, and others see where it came to rest", async () => {
  const [ann, bob] = [await open("ann"), await open("bob")]
  for (const value of [10, 40, 70]) await ann.fill("#level", String(value))
  for (const page of [ann, bob]) await lists(page, "#stored", ["70"])
  await expect.poll(() => bob.inputValue("#level"), { timeout: 20_000 }).toBe("70")
})

test("a query that cannot be run says why, and the next one works", async () => {
  const page = await open("cem")
  await page.fill("#sql", "DELETE FROM tasks")
  await lists(page, "#failed", [/^SQL_REJECTED: /])
  await page.fill("#sql", "SELECT 1 + 1 AS two")
  await lists(page, "#rows td", ["2"])
  await lists(page, "#failed", [""])
})

test("all of it is there after a restart", async () => {
  const page = await open("dan")
  expect(await server().stop()).toEqual({ code: 0, signal: null })
  await page.waitForSelector("#state[data-state=away]")
  await server().restart()
  await page.waitForSelector("#state[data-state=live]")
  await lists(page, "#tasks li span", ["read"])
  await lists(page, "#stored", ["70"])
  expect(errors).toEqual([])
})

/** Opens the page under a name. */
async function open(name: string): Promise<Page> {
  const page = await browser.context.newPage()
  page.on("pageerror", (error) => errors.push(error.message))
  await page.addInitScript((user) => sessionStorage.setItem("name", user), name)
  await page.goto(`${server().url}/board`)
  await page.waitForSelector("#state[data-state=live]")
  return page
}

/** Waits until the elements read so. */
async function lists(page: Page, selector: string, wanted: (string | RegExp)[]): Promise<void> {
  const texts = () => page.locator(selector).allTextContents()
  const matchers = wanted.map((one) => (one instanceof RegExp ? expect.stringMatching(one) : one))
  await expect.poll(texts, { timeout: 20_000 }).toEqual(matchers)
}
