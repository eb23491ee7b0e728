import { afterAll, afterEach, beforeAll, expect, test } from "vitest"

import { Postgres } from "../support/postgres.ts"
import { Server } from "../support/server.ts"

const PATIENCE_MS = 60_000

let postgres: Postgres
let server: Server | undefined
beforeAll(async () => {
  postgres = await Postgres.start()
}, PATIENCE_MS)
afterAll(() => postgres.dispose())
afterEach(async () => {
  await server?.dispose()
  for (const schema of postgres.sql("SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname ~ '^floe'")) {
    postgres.sql(`DROP SCHEMA ${schema} CASCADE`)
  }
})

interface Status {
  replicaAvailable: boolean
  isHealthy: boolean
  syncErrors: number
  queueDepth: number
  progress?: { complete: boolean }
}

async function rpc(room: string, method: string, payload: object = {}): Promise<Record<string, unknown>> {
  if (server === undefined) throw new Error("there is no server")
  const response = await fetch(`${server.url}${room}/rpc`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ method, payload, requestId: 1 }),
  })
  const answer = (await response.json()) as Record<string, unknown>
  if (!response.ok) throw new Error(`${method}: ${JSON.stringify(answer)}`)
  return answer
}

async function makeTable(room: string): Promise<void> {
  const columns = [
    { name: "id", type: "INTEGER", primaryKey: true },
    { name: "n", type: "REAL" },
  ]
  await rpc(room, "createTable", { name: "items", columns })
}

async function insert(room: string, from: number, to: number): Promise<void> {
  for (let id = from; id < to; id++) {
    await rpc(room, "insertRow", { table: "items", values: { id, n: id / 10 } })
  }
}

async function rowsOfRoom(room: string): Promise<string[]> {
  const answer = await rpc(room, "executeSQL", { sql: "SELECT id, n FROM items ORDER BY id" })
  return (answer.data as { id: number; n: number }[]).map((row) => `${row.id}|${row.n}`)
}

function rowsOfReplica(name: string, schema = "floe_default"): string[] {
  if (postgres.sql(`SELECT to_regclass('${schema}.rooms')`).length === 0) return []
  return postgres.sql(`SELECT (d.row->>'id')::bigint, (d.row->>'n')::float8 FROM ${schema}.rows d
    JOIN ${schema}.rooms r ON r.id = d.room WHERE r.name = '${name}' ORDER BY 1`)
}

async function status(): Promise<Status> {
  return (await rpc("/v1/rooms/a", "getSyncStatus")).data as Status
}

async function until(claim: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS
  while (!(await claim())) {
    if (Date.now() > deadline) throw new Error(`${what} did not come to be:\n${server?.log}`)
    await new Promise((done) => setTimeout(done, 50))
  }
}

async function agree(name: string): Promise<void> {
  const wanted = await rowsOfRoom(`/v1/rooms/${name}`)
  const same = () => JSON.stringify(rowsOfReplica(name)) === JSON.stringify(wanted)
  await until(same, `the rows of ${name}`)
}

const replica = () => ["--replica", postgres.url]

test("what was there before comes, what comes follows, and a namespace is a wall", async () => {
  server = await Server.start({ options: ["--replica", "off"] })
  const data = server.data
  await makeTable("/v1/rooms/a")
  await insert("/v1/rooms/a", 0, 20)
  await server.stop()
  const before = server
  server = await Server.start({ data, options: replica() })
  await agree("a")
  await insert("/v1/rooms/a", 20, 30)
  await rpc("/v1/rooms/a", "updateRow", { table: "items", key: 3, values: { n: 0.5 } })
  await rpc("/v1/rooms/a", "deleteRow", { table: "items", key: 4 })
  await agree("a")
  await makeTable("/n/other/v1/rooms/a")
  await insert("/n/other/v1/rooms/a", 1_000, 1_001)
  await until(() => rowsOfReplica("a", "floe_other").length === 1, "the other namespace")
  expect(rowsOfReplica("a").length).toBe(29)
  expect(rowsOfReplica("a", "floe_other")).toEqual(["1000|100"])
  expect(server.log).not.toContain("must-not-be-shown")
  await server.kill()
  await before.dispose()
}, 4 * PATIENCE_MS)

test("writes go on while PostgreSQL is away, the status tells, and it catches up", async () => {
  server = await Server.start({ options: replica() })
  await makeTable("/v1/rooms/a")
  await insert("/v1/rooms/a", 0, 5)
  await agree("a")
  postgres.down()
  try {
    await insert("/v1/rooms/a", 5, 60)
    await until(async () => !(await status()).replicaAvailable, "a replica that is away")
    expect((await status()).syncErrors).toBeGreaterThan(0)
    expect((await rowsOfRoom("/v1/rooms/a")).length).toBe(60)
  } finally {
    postgres.up()
  }
  await agree("a")
  await until(async () => (await status()).isHealthy, "a healthy replica")
  await until(async () => (await status()).queueDepth === 0, "a replica that lacks nothing")
}, 4 * PATIENCE_MS)

test("a replica that was wiped begins anew, whether something moves or not", async () => {
  server = await Server.start({ options: replica() })
  await makeTable("/v1/rooms/a")
  await insert("/v1/rooms/a", 0, 30)
  await agree("a")
  postgres.sql("DROP SCHEMA floe_default CASCADE")
  await agree("a")
  postgres.sql("DROP SCHEMA floe_default CASCADE; DROP SCHEMA floe CASCADE")
  await insert("/v1/rooms/a", 30, 31)
  await agree("a")
}, 4 * PATIENCE_MS)

test("everything is sent again when somebody asks", async () => {
  server = await Server.start({ options: replica() })
  await makeTable("/v1/rooms/a")
  await insert("/v1/rooms/a", 0, 30)
  await agree("a")
  postgres.sql("DELETE FROM floe_default.rows WHERE key > '2'")
  expect(rowsOfReplica("a").length).toBeLessThan(30)
  await rpc("/v1/rooms/a", "forceSyncAll")
  await agree("a")
  await until(async () => (await status()).progress?.complete === true, "the end of it")
}, 4 * PATIENCE_MS)

test("a server that is killed and a PostgreSQL that is stopped lose nothing and repeat nothing", async () => {
  server = await Server.start({ options: replica() })
  const rooms = ["a", "b", "c"]
  for (const room of rooms) await makeTable(`/v1/rooms/${room}`)
  let next = 0
  for (let round = 0; round < 4; round++) {
    const writers = rooms.map((room) => insert(`/v1/rooms/${room}`, next, next + 25))
    if (round === 1) {
      postgres.down()
      postgres.up()
    }
    await Promise.all(writers)
    next += 25
    await server.kill()
    await server.restart()
  }
  for (const room of rooms) {
    expect((await rowsOfRoom(`/v1/rooms/${room}`)).length).toBe(next)
    await agree(room)
  }
  const twice = postgres.sql(`SELECT room, seq FROM floe_default.rows GROUP BY 1, 2 HAVING count(*) > 1`)
  expect(twice).toEqual([])
}, 6 * PATIENCE_MS)

test("TLS is spoken with who has the certificate of the address, and with nobody else", async () => {
  const there = () => postgres.sql(`SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
    WHERE a.application_name = 'floe'`)
  let authority = postgres.encrypt("IP:127.0.0.1")
  const options = (rest: string) => ["--replica", `${postgres.url}?sslmode=${rest}`]
  server = await Server.start({ options: options(`verify-full&sslrootcert=${authority}`) })
  await makeTable("/v1/rooms/a")
  await insert("/v1/rooms/a", 0, 20)
  await agree("a")
  expect(there()).toEqual(["t"])
  await server.dispose()
  // Nobody knows the authority, or the certificate is another host's: writes go on, and nothing is sent.
  const refused = async (rest: string) => {
    server = await Server.start({ options: options(rest) })
    await makeTable("/v1/rooms/b")
    await insert("/v1/rooms/b", 0, 5)
    await until(async () => (await status()).syncErrors > 0, "a replica that is refused")
    expect((await status()).replicaAvailable).toBe(false)
    expect(there()).toEqual([])
    expect(rowsOfReplica("b")).toEqual([])
    expect(server.log).not.toContain("must-not-be-shown")
    await server.dispose()
  }
  await refused("require")
  authority = postgres.encrypt("DNS:db.example.com")
  await refused(`require&sslrootcert=${authority}`)
  server = undefined
}, 6 * PATIENCE_MS)
