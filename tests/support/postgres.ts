import { execFileSync } from "node:child_process"
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A PostgreSQL server of its own, in a temporary folder. */
export class Postgres {
  readonly #folder: string
  readonly #port: number
  #tls = ""

  private constructor(folder: string, port: number) {
    this.#folder = folder
    this.#port = port
  }

  /** Makes one with the database `rooms`, and starts it. */
  static async start(): Promise<Postgres> {
    const folder = mkdtempSync(join(tmpdir(), "floe-postgres-"))
    const owner = unprivileged()
    if (owner !== undefined) chownSync(folder, owner.uid, owner.gid)
    const postgres = new Postgres(folder, await freePort())
    postgres.#run("initdb", "--pgdata", postgres.#data, "--auth", "scram-sha-256",
      "--username", "floe", "--pwfile", passwordFile(folder, owner), "--no-sync")
    postgres.up()
    postgres.sql("CREATE DATABASE rooms", "postgres")
    return postgres
  }

  /** Makes an authority, and a certificate of it for an address, with which it speaks TLS from now on. */
  encrypt(address: string): string {
    const at = (name: string) => join(this.#folder, name)
    const write = (name: string, text: string) => writeFileSync(at(name), text)
    write("ca.cnf", "[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\nCN=authority\n" +
      "[v3]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n")
    write("server.cnf", "[req]\nprompt=no\ndistinguished_name=dn\n[dn]\nCN=postgres\n")
    write("server.ext", `subjectAltName=${address}\n`)
    const openssl = (...options: string[]) => execFileSync("openssl", options, { cwd: this.#folder, stdio: "ignore" })
    const key = (name: string) => ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", name]
    openssl("req", "-x509", "-config", "ca.cnf", ...key("ca.key"), "-days", "2", "-out", "ca.pem")
    openssl("req", "-config", "server.cnf", ...key("server.key"), "-out", "server.csr")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
      "-days", "2", "-extfile", "server.ext", "-out", "server.pem")
    chmodSync(at("server.key"), 0o600)
    const owner = unprivileged()
    for (const name of ["server.key", "server.pem"]) {
      if (owner !== undefined) chownSync(at(name), owner.uid, owner.gid)
    }
    this.#tls = ` -c ssl=on -c ssl_cert_file=${at("server.pem")} -c ssl_key_file=${at("server.key")}`
    this.down()
    this.up()
    return at("ca.pem")
  }

  /** Where a replica goes. */
  get url(): string {
    return `postgres://floe:${PASSWORD}@127.0.0.1:${this.#port}/rooms`
  }

  /** Starts it after `down`. */
  up(): void {
    const options = `-p ${this.#port} -k ${this.#folder} -c listen_addresses=127.0.0.1 -c fsync=off${this.#tls}`
    this.#run("pg_ctl", "--pgdata", this.#data, "--wait", "--options", options,
      "--log", join(this.#folder, "log"), "start")
  }

  /** Ends it where it stands. */
  down(): void {
    this.#run("pg_ctl", "--pgdata", this.#data, "--wait", "--mode", "immediate", "stop")
  }

  /** Runs a statement; returns its rows, the values of each with a `|` between them. */
  sql(statement: string, database = "rooms"): string[] {
    const options = ["-XAtq", "-h", "127.0.0.1", "-p", `${this.#port}`, "-U", "floe", "-d", database]
    const output = execFileSync(join(bin(), "psql"), [...options, "-c", statement], {
      env: { ...process.env, PGPASSWORD: PASSWORD },
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    })
    return output.split("\n").filter((line) => line !== "")
  }

  /** Ends it and removes all it had. */
  dispose(): void {
    try {
      this.down()
    } catch {
      // It was not running.
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }

  get #data(): string {
    return join(this.#folder, "data")
  }

  #run(program: string, ...options: string[]): void {
    execFileSync(join(bin(), program), options, {
      cwd: this.#folder,
      stdio: "ignore",
      ...unprivileged(),
    })
  }
}

const PASSWORD = "a-password-that-must-not-be-shown"

function bin(): string {
  const folder = process.env.FLOE_POSTGRES_BIN
  if (folder === undefined) throw new Error("FLOE_POSTGRES_BIN says where PostgreSQL is")
  return folder
}

/** PostgreSQL does not run as root, so it runs as the user that its package made. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (kind: string) => Number(execFileSync("id", [kind, "postgres"], { encoding: "utf8" }))
  return { uid: id("-u"), gid: id("-g") }
}

function passwordFile(folder: string, owner: { uid: number; gid: number } | undefined): string {
  const path = join(folder, "password")
  writeFileSync(path, `${PASSWORD}\n`)
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid)
  return path
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done))
  const address = server.address()
  await new Promise((done) => server.close(done))
  if (address === null || typeof address === "string") throw new Error("it does not listen")
  return address.port
}
