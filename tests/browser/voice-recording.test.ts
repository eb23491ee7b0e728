import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"

import type { Browser } from "../support/browser.ts"
import { serverOfFile } from "../support/fixture.ts"
import { writeTone } from "../support/tone.ts"
import { Participant, PATIENCE_MS, startWithDevices, startWithMedia } from "../support/voice.ts"

const server = serverOfFile({}, startWithMedia)
const folder = mkdtempSync(join(tmpdir(), "floe-recording-"))
const ROOM = "00000000ec0d"
const HERTZ = 440
const RATE = 48_000
/** Samples of which it is asked whether there is a tone: 50 ms. */
const WINDOW = RATE / 20
let browser: Browser

beforeAll(async () => {
  const tone = join(folder, "tone.wav")
  writeTone(tone, HERTZ)
  browser = await startWithDevices(`--use-file-for-fake-audio-capture=${tone}`)
}, 4 * PATIENCE_MS)
afterAll(async () => {
  await browser?.close()
  rmSync(folder, { recursive: true, force: true })
})

test("a recording is announced to all, and decodes to what was said, when it was said", { timeout: 4 * PATIENCE_MS }, async () => {
  const ann = await Participant.join(browser, server().url, ROOM, "ann")
  const bob = await Participant.join(browser, server().url, ROOM, "bob")
  await ann.hears(bob)
  await bob.hears(ann)
  expect(await ann.page.isVisible("#recording")).toBe(false)
  await bob.page.click("#record")
  for (const { page } of [ann, bob]) await page.waitForSelector("#recording", { timeout: PATIENCE_MS })
  await ann.sends()
  await ann.page.click("#mute")
  await bob.lists(ann, "muted")
  await bob.sends()
  await ann.page.click("#mute")
  await ann.sends()
  await bob.page.click("#record")
  for (const { page } of [ann, bob]) {
    await page.waitForSelector("#recording", { state: "hidden", timeout: PATIENCE_MS })
  }

  const recordings = async () => (await get<{ recordings: Recording[] }>("")).recordings
  const files = async () => (await recordings()).flatMap((one) => one.files)
  await expect.poll(async () => (await files()).length, { timeout: PATIENCE_MS }).toBe(2)
  const [recording] = await recordings()
  const file = recording?.files.find(({ userId }) => userId === "ann")
  if (!recording || !file) throw new Error("ann is in the recording")
  const path = join(folder, file.file)
  const address = `${server().url}/v1/voice/${ROOM}/recordings/${recording.recordingId}/${file.file}`
  writeFileSync(path, Buffer.from(await (await fetch(address)).arrayBuffer()))

  const samples = decode(path)
  const seconds = samples.length / RATE
  const wanted = (Date.parse(recording.endedAt) - Date.parse(recording.startedAt)) / 1000
  // What was said before she fell silent, a pause, and what she said after it.
  const spans = spansOfTone(samples)
  console.log(`${wanted} s recorded, ${seconds} s decoded:`, spans.map(({ tone, windows }) => `${windows / 20} s ${tone ? "tone" : "none"}`).join(", "))
  expect(Math.abs(seconds - wanted)).toBeLessThan(1)
  expect(Math.abs(file.durationMs / 1000 - seconds)).toBeLessThan(0.1)
  expect(spans.map(({ tone }) => tone)).toEqual([true, false, true])
  for (const { page } of [ann, bob]) await page.close()
  expect([...ann.errors, ...bob.errors]).toEqual([])
})

interface Recording {
  recordingId: string
  startedAt: string
  endedAt: string
  files: { userId: string; file: string; bytes: number; durationMs: number }[]
}

async function get<T>(path: string): Promise<T> {
  const answer = await fetch(`${server().url}/v1/voice/${ROOM}/recordings${path}`)
  expect(answer.status).toBe(200)
  return (await answer.json()) as T
}

/** Has ffmpeg decode a file to samples of one channel. */
function decode(path: string): Int16Array {
  const options = ["-v", "error", "-xerror", "-i", path, "-f", "s16le", "-ac", "1", "-ar", String(RATE), "-"]
  const { status, stdout, stderr } = spawnSync("ffmpeg", options, { maxBuffer: 1 << 28 })
  expect({ status, complaints: String(stderr) }).toEqual({ status: 0, complaints: "" })
  return new Int16Array(Uint8Array.from(stdout).buffer)
}

/** Says for how long there is the tone, and for how long there is not, one after the other; less than half a second is passed over. */
function spansOfTone(samples: Int16Array): { tone: boolean; windows: number }[] {
  const all: { tone: boolean; windows: number }[] = []
  for (let at = 0; at + WINDOW <= samples.length; at += WINDOW) {
    const tone = isTone(samples.subarray(at, at + WINDOW))
    const last = all.at(-1)
    if (last?.tone === tone) last.windows += 1
    else all.push({ tone, windows: 1 })
  }
  const spans: typeof all = []
  for (const { tone, windows } of all.filter(({ windows }) => windows >= 10)) {
    const last = spans.at(-1)
    if (last?.tone === tone) last.windows += windows
    else spans.push({ tone, windows })
  }
  return spans
}

/** Whether nearly all that is to be heard is the tone (Goertzel's algorithm). */
function isTone(samples: Int16Array): boolean {
  const factor = 2 * Math.cos((2 * Math.PI * HERTZ) / RATE)
  let [before, last, all] = [0, 0, 0]
  for (const sample of samples) {
    ;[before, last] = [last, sample + factor * last - before]
    all += sample * sample
  }
  const power = before * before + last * last - factor * before * last
  // A pure tone has this much, and a level of a hundredth of the loudest is silence.
  return all / samples.length > 328 ** 2 && power > 0.8 * (samples.length / 2) * all
}
