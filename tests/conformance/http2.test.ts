import { runConformanceTests } from "@durable-streams/server-conformance-tests"
import { afterAll, beforeAll } from "vitest"

import { serverOfFile } from "../support/fixture.ts"
import { Gateway } from "../support/gateway.ts"
import { LONG_POLL_MS, options } from "./settings.ts"

// The suite speaks HTTP/1.1 alone: the gateway hands each of its requests to the server in HTTP/2,
// all of them over one connection.
const server = serverOfFile({ options })
let gateway: Gateway | undefined

beforeAll(async () => {
  gateway = await Gateway.start(server().url)
})
afterAll(() => gateway?.close())

runConformanceTests({
  get baseUrl() {
    return gateway?.url ?? ""
  },
  longPollTimeoutMs: LONG_POLL_MS,
  subscriptions: true,
})
