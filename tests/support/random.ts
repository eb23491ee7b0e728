/** Random numbers that one seed repeats (mulberry32). */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A number from 0 up to, without, 1. */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1))
  }

  chance(probability: number): boolean {
    return this.unit() < probability
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.between(0, items.length - 1)]
    if (item === undefined) throw new Error("nothing to pick from")
    return item
  }

  /** A generator of its own, so that what one part draws does not move the others. */
  fork(): Random {
    return new Random(this.between(0, 2 ** 32 - 1))
  }
}

/** The seed that the environment names, else a new one. */
export function seedFromEnvironment(): number {
  const given = process.env["FLOE_TEST_SEED"]
  return given ? Number(given) : Math.floor(Math.random() * 2 ** 32)
}
