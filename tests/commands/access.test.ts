import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"

import { floe, run } from "../support/run.ts"
import { root, Server } from "../support/server.ts"

const folder = mkdtempSync(join(tmpdir(), "floe-access-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const ALL = "admin,manage,create,append,read,presence,delete:own"

test("the walk from the first key to a share link works as written", async () => {
  const server = await Server.start()
  const guide = readFileSync(join(root, "docs/ACCESS.md"), "utf8")
  const block = /## Keys, tokens and links: a walk.*?```sh\n(.*?)```/s.exec(guide)?.[1] ?? ""
  const script = block
    .replaceAll("http://127.0.0.1:4437", server.url)
    .replaceAll("curl -s ", "curl -sS --fail-with-body -w '\\n' ")
  expect(script.match(/curl /g)?.length).toBeGreaterThan(10)
  const result = await run("bash", ["-ec", `set -o pipefail\n${script}`])
  expect(result).toMatchObject({ code: 0, err: "" })
  expect(result.out).not.toContain('"code":')
  // Ann reads it, and so does whoever has the link.
  expect(result.out.match(/^hello$/gm)).toHaveLength(2)
  expect(result.out).toContain('"act":"revoke"')
  expect(result.out).not.toMatch(/floe_[0-9a-f]{16}_/)
  await server.dispose()
})

test("keys, namespaces and tokens are made and ended from the command line", async () => {
  const server = await Server.start()
  const url = ["--url", server.url]
  const created = await floe(["key", "create", "--namespace", "*", "--rights", ALL, ...url])
  expect(created).toMatchObject({ code: 0, err: "" })
  const secret = created.out.trim()
  expect(secret).toMatch(/^floe_[0-9a-f]{16}_[0-9a-f]{48}$/)
  // From here on nobody comes in without one.
  const locked = await floe(["key", "list", ...url])
  expect(locked).toMatchObject({ code: 1, out: "", err: expect.stringContaining("UNAUTHORIZED") })

  const file = join(folder, "key")
  writeFileSync(file, created.out)
  const asRoot = [...url, "--key-file", file]
  expect(await floe(["namespace", "create", "acme", ...asRoot])).toMatchObject({ code: 0, out: "acme\n" })
  const again = await floe(["namespace", "create", "acme", ...asRoot])
  expect(again).toMatchObject({ code: 1, err: expect.stringContaining("EXISTS") })
  expect(await floe(["namespace", "list", ...asRoot])).toMatchObject({ out: "acme\ndefault\n" })

  const made = await floe([
    "key", "create", "--namespace", "acme", "--room", "stream/news/**=read", "--user", "ann",
    "--name", "ann's", "--expires-in", "60", "--json", ...asRoot,
  ])
  const { key } = JSON.parse(made.out) as { key: { id: string; rooms: unknown } }
  expect(key.rooms).toEqual({ "stream/news/**": ["read"] })
  const listed = await floe(["key", "list", "--namespace", "acme", ...asRoot])
  expect(listed.out).toBe(`${key.id}\tacme\tann\tann's\n`)
  const rotated = await floe(["key", "rotate", key.id, ...asRoot])
  expect(rotated.out).toMatch(new RegExp(`^floe_${key.id}_`))
  expect(await floe(["key", "delete", key.id, ...asRoot])).toMatchObject({ code: 0, out: "" })
  const gone = await floe(["key", "delete", key.id, ...asRoot])
  expect(gone).toMatchObject({ code: 1, err: expect.stringContaining("NOT_FOUND") })

  const put = { method: "PUT", body: "hello", headers: { authorization: `Bearer ${secret}`, "content-type": "text/plain" } }
  expect((await fetch(`${server.url}/n/acme/v1/stream/news`, put)).status).toBe(201)
  const share = await floe(["token", "create", "--namespace", "acme", "--share", "--room", "stream/news=read", ...asRoot])
  expect(await (await fetch(share.out.trim())).text()).toBe("hello")
  const token = await floe(["token", "create", "--rights", "read", "--user", "ann", ...asRoot])
  expect(token.out.split(".")).toHaveLength(3)
  const invitation = await floe(["token", "create", "--namespace", "acme", "--invite", "stream/news", ...asRoot])
  expect(invitation).toMatchObject({ code: 0, err: "" })
  expect((await floe(["token", "create", "--share", "--invite", "stream/news", ...asRoot])).code).toBe(2)

  const full = await floe(["namespace", "delete", "acme", ...asRoot])
  expect(full).toMatchObject({ code: 1, err: expect.stringContaining("has rooms") })
  const secretOf = ["namespace", "rotate-secret", "acme"]
  expect(await floe([...secretOf, "--old-expires-in", "600", ...asRoot])).toMatchObject({ code: 0, out: "2\n" })
  expect((await fetch(share.out.trim())).status).toBe(200)
  expect(await floe([...secretOf, ...asRoot])).toMatchObject({ code: 0, out: "3\n" })
  expect((await fetch(share.out.trim())).status).toBe(401)
  expect(await floe(["namespace", "delete", "acme", "--with-rooms", ...asRoot])).toMatchObject({ code: 0, out: "", err: "" })
  expect(await floe(["namespace", "list", ...asRoot])).toMatchObject({ out: "default\n" })
  await server.dispose()
})
