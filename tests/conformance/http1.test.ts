import { runConformanceTests } from "@durable-streams/server-conformance-tests"

import { serverOfFile } from "../support/fixture.ts"
import { LONG_POLL_MS, options } from "./settings.ts"

const server = serverOfFile({ options })

runConformanceTests({
  // The suite reads the URL when a test runs, not when it is declared.
  get baseUrl() {
    return server().url
  },
  longPollTimeoutMs: LONG_POLL_MS,
  subscriptions: true,
})
