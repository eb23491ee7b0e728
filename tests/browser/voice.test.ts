import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"

import type { Browser } from "../support/browser.ts"
import { serverOfFile } from "../support/fixture.ts"
import { writeTone } from "../support/tone.ts"
import { Participant, PATIENCE_MS, startWithDevices, startWithMedia } from "../support/voice.ts"

const server = serverOfFile({}, startWithMedia)
const folder = mkdtempSync(join(tmpdir(), "floe-voice-"))
let browser: Browser
let other: Browser
/** Milliseconds of a test. */
const timeout = 4 * PATIENCE_MS

beforeAll(async () => {
  const tone = join(folder, "tone.wav")
  writeTone(tone, 440)
  const flag = `--use-file-for-fake-audio-capture=${tone}`
  ;[browser, other] = await Promise.all([startWithDevices(flag), startWithDevices(flag)])
}, timeout)
afterAll(async () => {
  await Promise.all([browser?.close(), other?.close()])
  rmSync(folder, { recursive: true, force: true })
})

test("two browsers hear each other, and not who is muted", { timeout }, async () => {
  const ann = await Participant.join(browser, server().url, "two", "ann")
  const bob = await Participant.join(other, server().url, "two", "bob")
  await ann.hears(bob)
  await bob.hears(ann)
  for (const page of [ann.page, bob.page]) {
    await page.waitForSelector("#people li[data-user=ann][data-speaking=true]", { timeout: PATIENCE_MS })
  }

  await ann.page.click("#mute")
  await bob.lists(ann, "muted")
  const quiet = await ann.sent("audio")
  await bob.sends()
  expect(await ann.sent("audio")).toBe(quiet)
  await bob.page.waitForSelector("#people li[data-user=ann][data-speaking=false]", { timeout: PATIENCE_MS })

  await ann.page.click("#mute")
  await bob.hears(ann)
  for (const { page } of [ann, bob]) await page.close()
  expect([...ann.errors, ...bob.errors]).toEqual([])
})

test("five browsers hear each other", { timeout }, async () => {
  const names = ["ann", "bob", "cem", "dee", "eve"]
  const all: Participant[] = []
  for (const name of names) all.push(await Participant.join(browser, server().url, "five", name))
  for (const one of all) await one.hears(...all.filter((another) => another !== one))
  for (const { page } of all) await page.close()
  expect(all.flatMap(({ errors }) => errors)).toEqual([])
})

test("who is muted by a moderator is not heard, even if their page goes on sending; who is kicked is out", { timeout }, async () => {
  const bob = await Participant.join(other, server().url, "order", "bob")
  const ann = await Participant.join(browser, server().url, "order", "ann", "", () => {
    // A page that does not care what moderators say.
    const replace = RTCRtpSender.prototype.replaceTrack
    RTCRtpSender.prototype.replaceTrack = function (track) {
      return track === null ? Promise.resolve() : replace.call(this, track)
    }
  })
  await bob.hears(ann)

  await bob.page.click("#people li[data-user=ann] button:text('mute')")
  for (const one of [ann, bob]) await one.lists(ann, "muted by a moderator")
  await ann.page.waitForSelector("#mute[aria-pressed=true]", { timeout: PATIENCE_MS })
  await bob.forgets(ann)
  const before = await bob.packets()
  await ann.sends()
  expect(await bob.packets()).toBe(before)

  // It is hers to say that she is heard again.
  await bob.page.click("#people li[data-user=ann] button:text('unmute')")
  await bob.lists(ann, /^muted$/)
  await ann.page.click("#mute")
  await bob.hears(ann)

  await bob.page.click("#people li[data-user=ann] button:text('kick')")
  await ann.page.waitForSelector("#state[data-state=left]", { timeout: PATIENCE_MS })
  expect(await ann.page.textContent("#failed")).toMatch("KICKED")
  await expect.poll(() => bob.page.locator("#people li").count(), { timeout: PATIENCE_MS }).toBe(1)
  await ann.page.click("#join")
  await bob.hears(ann)
  for (const { page } of [ann, bob]) await page.close()
})

test("sound goes on while a page's WebSocket comes back, and comes back after a restart of the server", { timeout }, async () => {
  const ann = await Participant.join(browser, server().url, "again", "ann", "", () => {
    const Original = WebSocket
    const sockets: WebSocket[] = []
    Object.assign(globalThis, {
      sockets,
      WebSocket: class extends Original {
        constructor(...given: ConstructorParameters<typeof Original>) {
          super(...given)
          sockets.push(this)
        }
      },
    })
  })
  const bob = await Participant.join(other, server().url, "again", "bob")
  await ann.hears(bob)
  await bob.hears(ann)
  const before = await ann.packets()
  await ann.page.evaluate(() => (globalThis as unknown as { sockets: WebSocket[] }).sockets.at(-1)?.close())
  await ann.page.waitForSelector("#state[data-state=reconnecting]", { timeout: PATIENCE_MS })
  await ann.page.waitForSelector("#state[data-state=joined]", { timeout: PATIENCE_MS })
  await ann.hears(bob)
  await bob.hears(ann)
  // Another connection would count from nothing.
  expect(await ann.packets()).toBeGreaterThan(before)

  expect(await server().stop()).toEqual({ code: 0, signal: null })
  await ann.page.waitForSelector("#state[data-state=reconnecting]", { timeout: PATIENCE_MS })
  await server().restart()
  await ann.hears(bob)
  await bob.hears(ann)
  for (const { page } of [ann, bob]) await page.close()
  expect([...ann.errors, ...bob.errors]).toEqual([])
})
