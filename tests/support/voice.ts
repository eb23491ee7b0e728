import type { Page } from "playwright-core"
import { expect } from "vitest"

import { Browser } from "./browser.ts"
import { Server, type ServerOptions } from "./server.ts"

/** Milliseconds that a test waits for something, on however busy a machine. */
export const PATIENCE_MS = 60_000

/** Starts a server that carries sound: the number of its port may be somebody else's over UDP. */
export async function startWithMedia(options: ServerOptions = {}): Promise<Server> {
  for (;;) {
    const server = await Server.start(options)
    if (!server.log.includes("voice rooms are silent")) return server
    await server.dispose()
  }
}

/** Starts a browser with a microphone, a camera and a screen that are made up. */
export function startWithDevices(...flags: string[]): Promise<Browser> {
  return Browser.start([
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
    ...flags,
  ])
}

/** Somebody with the page of a voice room before them. */
export class Participant {
  readonly name: string
  readonly page: Page
  readonly errors: string[] = []

  private constructor(name: string, page: Page) {
    this.name = name
    this.page = page
    page.on("pageerror", (error) => this.errors.push(error.message))
  }

  /** Opens the page and joins; `before` runs in the page ahead of everything else. */
  static async join(
    browser: Browser,
    server: string,
    room: string,
    name: string,
    query = "",
    before: () => void = () => {},
  ): Promise<Participant> {
    const page = await browser.context.newPage()
    const participant = new Participant(name, page)
    await page.addInitScript(before)
    await page.goto(`${server}/voice?room=${room}&name=${name}${query}`)
    // Echo and noise are what the sound of these devices is taken for.
    await page.uncheck("#processing")
    await page.click("#join")
    await participant.is("joined")
    return participant
  }

  /** Waits until the page says this of itself. */
  async is(status: string): Promise<void> {
    const says = async () => [await this.page.getAttribute("#state", "data-state"), ...this.errors].join(" ")
    await expect.poll(says, { timeout: PATIENCE_MS, message: `${this.name}'s page` }).toBe(status)
  }

  /** Waits until the media of the page are connected. */
  async connected(): Promise<this> {
    await this.page.waitForSelector("#quality[data-media=connected]", { timeout: PATIENCE_MS })
    return this
  }

  /** What is received of each other, by name, as the browser's statistics say. */
  received(source = "microphone"): Promise<Record<string, Received>> {
    return this.page.evaluate(async (source) => {
      const { voice } = globalThis as unknown as { voice: VoiceOfPage }
      const all = [...((await voice.stats()) ?? new Map()).values()]
      const received: Record<string, Received> = {}
      for (const track of voice.state.tracks) {
        if (track.source !== source || !track.userId) continue
        const one = all.find(({ type, mid }) => type === "inbound-rtp" && mid === track.mid)
        received[track.userId] = {
          packets: one?.packetsReceived ?? 0,
          lost: one?.packetsLost ?? 0,
          energy: one?.totalAudioEnergy ?? 0,
          samples: one?.totalSamplesReceived ?? 0,
          concealed: (one?.concealedSamples ?? 0) - (one?.silentConcealedSamples ?? 0),
          frames: one?.framesDecoded ?? 0,
          width: one?.frameWidth ?? 0,
        }
      }
      return received
    }, source)
  }

  /** Packets of sound that left, or pictures. */
  sent(kind: "audio" | "video"): Promise<number> {
    return this.page.evaluate(async (kind) => {
      const { voice } = globalThis as unknown as { voice: VoiceOfPage }
      const all = [...((await voice.stats()) ?? new Map()).values()]
      const out = all.filter((one) => one.type === "outbound-rtp" && one.kind === kind)
      // Without pictures, packets may still leave to find out how many the network carries.
      return out.reduce((sum, one) => sum + (kind === "audio" ? one.packetsSent : (one.framesSent ?? 0)), 0)
    }, kind)
  }

  /** Packets of sound that have come, of anyone. */
  packets(): Promise<number> {
    return this.page.evaluate(async () => {
      const { voice } = globalThis as unknown as { voice: VoiceOfPage }
      const all = [...((await voice.stats()) ?? new Map()).values()]
      const inbound = all.filter((one) => one.type === "inbound-rtp" && one.kind === "audio")
      return inbound.reduce((sum, { packetsReceived }) => sum + packetsReceived, 0)
    })
  }

  /** Waits until a while's worth of sound has left. */
  async sends(): Promise<void> {
    const before = await this.sent("audio")
    await expect.poll(() => this.sent("audio"), { timeout: PATIENCE_MS }).toBeGreaterThan(before + PACKETS_LEAST)
  }

  /** Waits until no slot is somebody's any more. */
  async forgets(other: Participant): Promise<void> {
    const known = async () => other.name in (await this.received())
    await expect.poll(known, { timeout: PATIENCE_MS }).toBe(false)
  }

  /** Waits until packets of all of them come and are decoded to something that is no silence. */
  async hears(...others: Participant[]): Promise<void> {
    const before = await this.received()
    const unheard = async () => {
      const now = await this.received()
      return others
        .map(({ name }) => name)
        .filter((name) => {
          const [was, is] = [before[name] ?? NOTHING, now[name] ?? NOTHING]
          return is.packets < was.packets + PACKETS_LEAST || is.energy < was.energy + ENERGY_LEAST
        })
    }
    await expect.poll(unheard, { timeout: PATIENCE_MS, message: `${this.name} hears` }).toEqual([])
  }

  /** Waits until pictures of somebody come and are decoded. */
  async sees(other: Participant, source = "camera"): Promise<Received> {
    const before = (await this.received(source))[other.name]?.frames ?? 0
    const seen = async () => (await this.received(source))[other.name] ?? NOTHING
    const frames = async () => (await seen()).frames
    await expect.poll(frames, { timeout: PATIENCE_MS, message: `${this.name} sees` }).toBeGreaterThan(before + FRAMES_LEAST)
    return seen()
  }

  /** Waits until the list of people says this of somebody. */
  async lists(other: Participant, how: RegExp | string): Promise<void> {
    const text = () => this.page.textContent(`#people li[data-user=${other.name}] .how`, { timeout: PATIENCE_MS })
    await expect.poll(text, { timeout: PATIENCE_MS }).toMatch(how)
  }
}

/** What comes of one other. */
export interface Received {
  packets: number
  lost: number
  /** Of all that was decoded, silence has none. */
  energy: number
  samples: number
  /** Samples that were made up in place of what was lost. */
  concealed: number
  frames: number
  width: number
}

interface VoiceOfPage {
  state: { tracks: { mid: string; source: string; userId: string | null }[] }
  stats(): Promise<Map<string, Record<string, never>>> | undefined
}

const NOTHING: Received = { packets: 0, lost: 0, energy: 0, samples: 0, concealed: 0, frames: 0, width: 0 }
/** Packets of 20 ms: two seconds. */
const PACKETS_LEAST = 100
/** Squares of the level, which is at most 1, over seconds. */
const ENERGY_LEAST = 0.0005
const FRAMES_LEAST = 10
