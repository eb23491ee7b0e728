import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, test } from "vitest"

import { run } from "../support/run.ts"
import { root, Server } from "../support/server.ts"

test("the ten minutes of curl with a community work as written", async () => {
  const server = await Server.start()
  const guide = readFileSync(join(root, "docs/COMMUNITY.md"), "utf8")
  const block = /## Ten minutes of curl\s.*?```sh\n(.*?)```/s.exec(guide)?.[1] ?? ""
  const script = block
    .replaceAll("http://127.0.0.1:4437", server.url)
    .replaceAll("curl -s ", "curl -sS --fail-with-body -w '\\n' ")
  expect(script.match(/curl /g)?.length).toBeGreaterThan(20)
  const result = await run("bash", ["-ec", `set -o pipefail\n${script}`])
  expect(result).toMatchObject({ code: 0, err: "" })
  expect(result.out).not.toContain('"code":')
  expect(result.out).toContain('"role":"moderator","user":"cat"')
  expect(result.out).toContain('"reason":"spam"')
  expect(result.out).toContain('"cause":"timeout"')
  const gone = await fetch(`${server.url}/v1/waddles/birds`)
  expect(gone.status).toBe(404)
  await server.dispose()
})

test("the five minutes of chat in the README work as written", async () => {
  const server = await Server.start()
  const readme = readFileSync(join(root, "README.md"), "utf8")
  const block = /## Five minutes of chat\s.*?```sh\n(.*?)```/s.exec(readme)?.[1] ?? ""
  const script = block
    .replaceAll("http://127.0.0.1:4437", server.url)
    .replaceAll("curl -s ", "curl -sS --fail-with-body -w '\\n' ")
  expect(script.match(/curl /g)?.length).toBeGreaterThan(4)
  const result = await run("bash", ["-ec", `set -o pipefail\n${script}`])
  expect(result).toMatchObject({ code: 0, err: "" })
  expect(result.out).not.toContain('"code":')
  expect(result.out).toContain("hello, birds")
  await server.dispose()
})
