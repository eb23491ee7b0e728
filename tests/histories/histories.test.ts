import { afterAll, describe, test } from "vitest"

import { Random, seedFromEnvironment } from "../support/random.ts"
import { History, type Totals } from "./history.ts"

const rounds = Number(process.env["FLOE_TEST_ROUNDS"] ?? 10)
const seed = seedFromEnvironment()
const random = new Random(seed)

describe("all who write and read channels agree on what happened", () => {
  const all: Totals[] = []

  for (let index = 1; index <= rounds; index += 1) {
    test(`history ${index}`, { timeout: 90_000 }, async () => {
      const history = await History.start(random.fork())
      try {
        await history.run()
      } catch (error) {
        const again = `./test histories --rounds ${index} --seed ${seed}`
        throw new Error(`${String(error)}\nagain: ${again}\n${history.log}`, { cause: error })
      } finally {
        all.push(history.totals)
        await history.dispose()
      }
    })
  }

  afterAll(() => {
    const sum = (field: keyof Totals) => all.reduce((total, one) => total + one[field], 0)
    console.log(
      `NOTE: ${all.length} histories, ${sum("events")} events, ${sum("acknowledged")} of them ` +
        `acknowledged, ${sum("ends")} ends of the server, ${sum("cuts")} connections cut, seed ${seed}`,
    )
  })
})
