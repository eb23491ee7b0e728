import { afterAll, beforeAll, expect, test } from "vitest"

import type { Browser } from "../support/browser.ts"
import { serverOfFile } from "../support/fixture.ts"
import { Participant, PATIENCE_MS, startWithDevices, startWithMedia } from "../support/voice.ts"

const server = serverOfFile({}, startWithMedia)
let browser: Browser
/** Milliseconds of a test. */
const timeout = 4 * PATIENCE_MS

beforeAll(async () => {
  browser = await startWithDevices()
}, timeout)
afterAll(() => browser?.close())

test("a camera is seen, as well as is asked for, until it is off", { timeout }, async () => {
  const ann = await Participant.join(browser, server().url, "faces", "ann", "&width=960")
  const bob = await Participant.join(browser, server().url, "faces", "bob")
  await ann.page.click("#camera")
  await ann.page.waitForSelector("#tiles figure[data-user=ann][data-source=camera]", { timeout: PATIENCE_MS })
  await bob.page.waitForSelector("#tiles figure[data-user=ann][data-source=camera]", { timeout: PATIENCE_MS })
  await bob.sees(ann)
  await bob.lists(ann, "camera")
  const width = async () => (await bob.sees(ann)).width
  await expect.poll(width, { timeout: 2 * PATIENCE_MS }).toBe(960)
  await bob.page.selectOption("#layer", "low")
  await expect.poll(width, { timeout: PATIENCE_MS }).toBe(240)
  await bob.page.selectOption("#layer", "high")
  await expect.poll(width, { timeout: 2 * PATIENCE_MS }).toBe(960)
  // Who comes later sees it, too.
  const cem = await Participant.join(browser, server().url, "faces", "cem")
  await cem.sees(ann)

  await ann.page.click("#camera")
  for (const { page } of [ann, bob, cem]) {
    await page.waitForSelector("#tiles figure", { state: "detached", timeout: PATIENCE_MS })
  }
  const still = await ann.sent("video")
  await ann.sends()
  expect(await ann.sent("video")).toBe(still)
  for (const { page } of [ann, bob, cem]) await page.close()
  expect([ann, bob, cem].flatMap(({ errors }) => errors)).toEqual([])
})

test("a screen is seen beside the camera of who shares it", { timeout }, async () => {
  const ann = await Participant.join(browser, server().url, "screens", "ann", "&width=480")
  const bob = await Participant.join(browser, server().url, "screens", "bob")
  await ann.page.click("#camera")
  await bob.sees(ann, "camera")
  await ann.page.click("#screen")
  await bob.page.waitForSelector("#tiles figure[data-user=ann][data-source=screen]", { timeout: PATIENCE_MS })
  await bob.sees(ann, "screen")
  await bob.sees(ann, "camera")
  await bob.lists(ann, "screen")
  await ann.page.click("#screen")
  await bob.page.waitForSelector("#tiles figure[data-source=screen]", { state: "detached", timeout: PATIENCE_MS })
  await bob.sees(ann, "camera")
  for (const { page } of [ann, bob]) await page.close()
  expect([...ann.errors, ...bob.errors]).toEqual([])
})
