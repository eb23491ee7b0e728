import { afterAll, beforeAll } from "vitest"

import { Server, type ServerOptions } from "./server.ts"

/** Starts a server before the tests of a file and ends it after them; returns how to reach it. */
export function serverOfFile(options: ServerOptions = {}, start = Server.start): () => Server {
  let server: Server | undefined
  beforeAll(async () => {
    server = await start(options)
  })
  afterAll(() => server?.dispose())
  return () => {
    if (server === undefined) throw new Error("the server starts with the first test")
    return server
  }
}
