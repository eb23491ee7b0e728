import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"

import type { Browser } from "../support/browser.ts"
import { writeTone } from "../support/tone.ts"
import { UdpProxy } from "../support/udp.ts"
import { Participant, PATIENCE_MS, startWithDevices, startWithMedia } from "../support/voice.ts"

/** A port that nobody listens on. */
const NOWHERE = "127.0.0.1:9"
const SEED = Number(process.env["FLOE_TEST_SEED"] ?? 7)
const folder = mkdtempSync(join(tmpdir(), "floe-voice-"))
let browser: Browser
/** Milliseconds of a test. */
const timeout = 4 * PATIENCE_MS

beforeAll(async () => {
  const tone = join(folder, "tone.wav")
  writeTone(tone, 440)
  browser = await startWithDevices(`--use-file-for-fake-audio-capture=${tone}`)
}, timeout)
afterAll(async () => {
  await browser?.close()
  rmSync(folder, { recursive: true, force: true })
})

test("with every tenth datagram lost either way sound goes on, and what is lost is made up", { timeout }, async () => {
  await behindProxy(["--media-public-tcp-address", NOWHERE], async (proxy, ann, bob) => {
    proxy.loss = 0.1
    const before = (await bob.received())["ann"]
    await ann.hears(bob)
    for (let times = 0; times < 3; times += 1) await bob.hears(ann)
    const after = (await bob.received())["ann"]
    if (!before || !after) throw new Error("ann has a slot all the while")
    const packets = after.packets - before.packets
    const lost = (after.lost - before.lost) / (after.lost - before.lost + packets)
    const concealed = (after.concealed - before.concealed) / (after.samples - before.samples)
    console.log(`seed ${SEED}: ${percent(lost)} of ${packets} packets lost, ${percent(concealed)} of the samples made up`)
    expect(lost).toBeGreaterThan(0.08)
    expect(lost).toBeLessThan(0.35)
    expect(concealed).toBeGreaterThan(0)
    expect(concealed).toBeLessThan(0.35)
    expect(proxy.counts.lost).toBeGreaterThan(0)
  })
})

test("pages whose network changes find another way, with the same connection", { timeout }, async () => {
  await behindProxy(["--media-public-tcp-address", NOWHERE], async (proxy, ann, bob) => {
    const [ways, before] = [proxy.ways, await ann.packets()]
    proxy.sever()
    await ann.page.waitForSelector("#quality:not([data-media=connected])", { timeout: PATIENCE_MS })
    await ann.connected()
    await ann.hears(bob)
    await bob.hears(ann)
    expect(proxy.ways).toBeGreaterThan(ways)
    // Another connection would count from nothing.
    expect(await ann.packets()).toBeGreaterThan(before)
    await ann.page.waitForSelector("#quality[data-by=udp]", { timeout: PATIENCE_MS })
  })
})

test("where no datagram comes through, sound goes over TCP", { timeout }, async () => {
  const proxy = await UdpProxy.start(SEED)
  proxy.loss = 1
  const server = await startWithMedia({ options: ["--media-public-address", proxy.address] })
  const ann = await Participant.join(browser, server.url, "tcp", "ann")
  const bob = await Participant.join(browser, server.url, "tcp", "bob")
  await ann.hears(bob)
  await bob.hears(ann)
  for (const { page } of [ann, bob]) await page.waitForSelector("#quality[data-by=tcp]", { timeout: PATIENCE_MS })
  expect(proxy.counts).toMatchObject({ up: 0, down: 0 })
  expect(proxy.counts.lost).toBeGreaterThan(0)
  for (const { page } of [ann, bob]) await page.close()
  await server.dispose()
  await proxy.close()
})

/** Runs a test with two who hear each other through a proxy. */
async function behindProxy(
  options: string[],
  run: (proxy: UdpProxy, ann: Participant, bob: Participant) => Promise<void>,
): Promise<void> {
  const proxy = await UdpProxy.start(SEED)
  const server = await startWithMedia({ options: ["--media-public-address", proxy.address, ...options] })
  proxy.target = server.port
  try {
    const ann = await Participant.join(browser, server.url, "proxied", "ann")
    const bob = await Participant.join(browser, server.url, "proxied", "bob")
    await ann.hears(bob)
    await bob.hears(ann)
    expect(proxy.counts.up).toBeGreaterThan(0)
    await run(proxy, ann, bob)
    for (const { page } of [ann, bob]) await page.close()
    expect([...ann.errors, ...bob.errors]).toEqual([])
  } finally {
    await server.dispose()
    await proxy.close()
  }
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`
}
