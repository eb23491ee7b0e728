import { createServer, type Server as HttpServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"

import { Browser } from "../support/browser.ts"
import { serverOfFile } from "../support/fixture.ts"

// Everything here is done by a page of another origin: what the preflight does not allow, or the
// answer does not expose, a browser withholds.
const server = serverOfFile({ options: ["--long-poll-timeout-ms", "500"] })
let elsewhere: HttpServer
let browser: Browser
let page: Page

beforeAll(async () => {
  elsewhere = createServer((_, response) => {
    response.setHeader("content-type", "text/html")
    response.end("<!doctype html><title>elsewhere</title>")
  })
  await new Promise<void>((done) => elsewhere.listen(0, "127.0.0.1", done))
  browser = await Browser.start()
  page = await browser.context.newPage()
  await page.goto(`http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`)
})
afterAll(async () => {
  await browser?.close()
  elsewhere.close()
})

test("a page of another origin may send every request header of the protocol", async () => {
  const url = server().stream("origins/headers")
  const json = { "content-type": "application/json" }
  expect(await call(url, "PUT", { ...json, "stream-ttl": "3600" })).toMatchObject({ status: 201 })
  const producer = { "producer-id": "page", "producer-epoch": "0", "producer-seq": "0" }
  const first = await call(url, "POST", { ...json, ...producer, "stream-seq": "a" }, "[1,2]")
  expect(first).toMatchObject({ status: 200 })

  const fork = await call(server().stream("origins/fork"), "PUT", {
    ...json,
    "stream-forked-from": "/v1/stream/origins/headers",
    "stream-fork-offset": "0000000000000000",
    "stream-fork-sub-offset": "1",
  })
  expect(fork).toMatchObject({ status: 201 })
  const expiring = { ...json, "stream-expires-at": "2999-01-01T00:00:00Z" }
  expect(await call(server().stream("origins/expiring"), "PUT", expiring)).toMatchObject({
    status: 201,
  })
  expect(await call(url, "POST", { "stream-closed": "true" })).toMatchObject({ status: 204 })
  expect(await call(server().stream("origins/fork"), "DELETE")).toMatchObject({ status: 204 })
})

test("a page of another origin may read every answer header of the protocol", async () => {
  const url = server().stream("origins/answers")
  const json = { "content-type": "application/json" }
  const created = await call(url, "PUT", { ...json, "stream-ttl": "3600" })
  expect(created.headers).toHaveProperty("location")

  const producer = { "producer-id": "page", "producer-epoch": "0", "producer-seq": "0" }
  const appended = await call(url, "POST", { ...json, ...producer }, "1")
  expect(appended.headers).toMatchObject({ "producer-epoch": "0", "producer-seq": "0" })
  const gap = await call(url, "POST", { ...json, ...producer, "producer-seq": "7" }, "1")
  expect(gap).toMatchObject({
    status: 409,
    headers: { "producer-expected-seq": "1", "producer-received-seq": "7" },
  })

  const read = await call(`${url}?offset=-1`, "GET")
  const next = read.headers["stream-next-offset"] ?? ""
  expect(read).toMatchObject({ status: 200, body: "[1]" })
  expect(read.headers).toMatchObject({ "stream-up-to-date": "true", etag: expect.any(String) })
  const head = await call(url, "HEAD")
  expect(head.headers).toMatchObject({ "stream-next-offset": next, "stream-ttl": "3600" })
  const waited = await call(`${url}?offset=${next}&live=long-poll`, "GET")
  expect(waited).toMatchObject({ status: 204, headers: { "stream-cursor": expect.any(String) } })
  await call(url, "POST", { "stream-closed": "true" })
  const closed = await call(`${url}?offset=-1`, "GET")
  expect(closed.headers).toMatchObject({ "stream-closed": "true" })
  const etag = { "if-none-match": closed.headers["etag"] ?? "" }
  expect(await call(`${url}?offset=-1`, "GET", etag)).toMatchObject({ status: 304 })
})

test("an error's code reaches a page of another origin", async () => {
  const missing = await call(server().stream("origins/missing"), "GET")
  expect(missing.status).toBe(404)
  expect(JSON.parse(missing.body)).toMatchObject({ code: "NOT_FOUND" })
})

test("an event source of another origin follows a stream to its end", async () => {
  const url = server().stream("origins/events")
  const text = { "content-type": "text/plain" }
  await call(url, "PUT", text)
  await call(url, "POST", text, "one\ntwo")
  const events = page.evaluate(collectEvents, `${url}?offset=-1&live=sse`)
  await call(url, "POST", { ...text, "stream-closed": "true" }, "three")
  const found = await events
  expect(found.filter((event) => event.name === "data").map((event) => event.data).join("")).toBe(
    "one\ntwothree",
  )
  expect(JSON.parse(found.at(-1)?.data ?? "")).toMatchObject({ streamClosed: true })
})

/** Sends a request from the page and returns what the page may see of the answer. */
function call(url: string, method: string, headers: Record<string, string> = {}, body?: string) {
  return page.evaluate(
    async (request) => {
      const { url, ...init } = request
      // The cache would answer some of it without the server.
      const response = await fetch(url, { ...init, cache: "no-store" })
      const headers = Object.fromEntries(response.headers)
      return { status: response.status, headers, body: await response.text() }
    },
    { url, method, headers, ...(body === undefined ? {} : { body }) },
  )
}

/** Runs in the page: all events up to the control event that says the stream is closed. */
function collectEvents(url: string): Promise<{ name: string; data: string }[]> {
  return new Promise((done, fail) => {
    const seen: { name: string; data: string }[] = []
    const source = new EventSource(url)
    source.addEventListener("data", (event) => {
      seen.push({ name: "data", data: event.data })
    })
    source.addEventListener("control", (event) => {
      seen.push({ name: "control", data: event.data })
      if (JSON.parse(event.data).streamClosed !== true) return
      source.close()
      done(seen)
    })
    source.addEventListener("error", () => {
      source.close()
      fail(new Error(`the event source failed after ${JSON.stringify(seen)}`))
    })
  })
}
