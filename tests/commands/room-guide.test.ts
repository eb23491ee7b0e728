import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"

import { run } from "../support/run.ts"
import { root, Server } from "../support/server.ts"

const folder = mkdtempSync(join(tmpdir(), "floe-tables-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test("the ten minutes of curl with tables work as written", async () => {
  const server = await Server.start()
  const guide = readFileSync(join(root, "docs/TABLES.md"), "utf8")
  const block = /## Ten minutes of curl\s.*?```sh\n(.*?)```/s.exec(guide)?.[1] ?? ""
  const script = block
    .replaceAll("http://127.0.0.1:4437", server.url)
    .replaceAll("curl -s ", "curl -sS --fail-with-body -w '\\n' ")
  expect(script.match(/curl /g)?.length).toBeGreaterThan(15)
  const result = await run("bash", ["-ec", `set -o pipefail\ncd ${folder}\n${script}`])
  expect(result).toMatchObject({ code: 0, err: "" })
  // What could not be inserted is told, and nothing else went wrong.
  expect(result.out.match(/"code":/g)).toEqual(['"code":'])
  expect(result.out).toContain('"failed":[{"code":"CONSTRAINT"')
  expect(result.out).toContain('"data":[{"id":1,"title":"buy milk","status":"completed"}]')
  expect(readFileSync(join(folder, "board.sqlite")).subarray(0, 15).toString()).toBe("SQLite format 3")
  expect(readFileSync(join(folder, "client.ts"), "utf8")).toContain("export interface NotesRow {")
  const gone = await fetch(`${server.url}/v1/rooms/board/schema`)
  expect(gone.status).toBe(404)
  await server.dispose()
})
