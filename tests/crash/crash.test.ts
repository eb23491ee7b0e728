import { afterAll, describe, test } from "vitest"

import { Random, seedFromEnvironment } from "../support/random.ts"
import { Series, type Totals } from "./series.ts"

const rounds = Number(process.env["FLOE_TEST_ROUNDS"] ?? 100)
const seed = seedFromEnvironment()
const random = new Random(seed)

/** Rounds over one data folder; then everything is read with all checksums, and a new one begins. */
const SERIES_ROUNDS = 10

describe("what was acknowledged outlives kill -9", () => {
  let series: Series | undefined
  const all: Totals[] = []

  for (let index = 1; index <= rounds; index += 1) {
    test(`round ${index}`, async () => {
      series ??= new Series(random.fork())
      const current = series
      try {
        await current.round()
        if (current.totals.rounds < SERIES_ROUNDS && index < rounds) return
        series = undefined
        all.push(current.totals)
        await current.finish()
      } catch (error) {
        // What follows starts over, so that one failure is one failure.
        if (series !== undefined) all.push(current.totals)
        series = undefined
        const again = `./test crash --rounds ${index} --seed ${seed}`
        throw new Error(`${String(error)}\nagain: ${again}\n${await current.abandon()}`, {
          cause: error,
        })
      }
    })
  }

  afterAll(() => {
    const sum = (field: keyof Totals) => all.reduce((total, one) => total + one[field], 0)
    console.log(
      `NOTE: ${sum("rounds")} rounds, ${sum("kills")} kills, ${sum("acknowledged")} acknowledged ` +
        `requests, ${sum("requests")} in doubt (${sum("landed")} had landed), seed ${seed}`,
    )
  })
})
