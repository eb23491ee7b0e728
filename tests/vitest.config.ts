import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    // Each file starts servers of its own; what they wait for is mostly time.
    maxWorkers: 4,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    pool: "forks",
  },
})
