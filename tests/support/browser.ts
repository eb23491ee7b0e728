import { mkdtempSync, rmSync } from "node:fs"
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

  static async start(flags: readonly string[] = []): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), "floe-browser-"))
    const context = await chromium.launchPersistentContext(profile, {
      executablePath: process.env["FLOE_BROWSER"] ?? "/usr/bin/chromium",
      headless: true,
      args: [...FLAGS, ...flags],
    })
    return new Browser(context, profile)
  }

  async close(): Promise<void> {
    await this.context.close()
    rmSync(this.#profile, { recursive: true, force: true })
  }
}

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
