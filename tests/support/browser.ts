import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type BrowserContext, chromium } from "playwright-core"

/** A headless browser with a profile of its own. */
export class Browser {
  readonly context: BrowserContext
  readonly #profile: string

  private constructor(context: BrowserContext, profile: string) {
    this.context = context
    this.#profile = profile
  }

  static async start(): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), "floe-browser-"))
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: executable(),
      headless: true,
      args: FLAGS,
    })
    return new Browser(context, profile)
  }

  async close(): Promise<void> {
    await this.context.close()
    rmSync(this.#profile, { recursive: true, force: true })
  }
}

function executable(): string {
  const given = process.env["FLOE_BROWSER"]
  const found = given ?? PLACES.find((place) => existsSync(place))
  if (found === undefined) throw new Error(`no browser at ${PLACES.join(", ")}: run ./test browser`)
  return found
}

const PLACES = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
]

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
]
