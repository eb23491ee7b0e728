import { spawn } from "node:child_process"

import { binary, cleanEnvironment } from "./server.ts"

/** How a program ended, and all that it printed. */
export interface Result {
  code: number | null
  out: string
  err: string
}

/** Runs `floe` with `args`, and `input` as its stdin. */
export function floe(args: readonly string[], input = ""): Promise<Result> {
  return run(binary(), args, input)
}

/** Runs a program to its end. */
export function run(program: string, args: readonly string[], input = ""): Promise<Result> {
  const running = start(program, args)
  running.stdin.end(input)
  return running.ended
}

/** A program under way. */
export function start(program: string, args: readonly string[]) {
  const child = spawn(program, args, { stdio: "pipe", env: cleanEnvironment() })
  const result: Result = { code: null, out: "", err: "" }
  child.stdout.setEncoding("utf8").on("data", (text: string) => (result.out += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (result.err += text))
  // A program that does not read its stdin may be gone before all of it is written.
  child.stdin.on("error", () => {})
  const ended = new Promise<Result>((done, fail) => {
    child.once("error", fail)
    child.once("close", (code) => done({ ...result, code }))
  })
  return { stdin: child.stdin, soFar: result, ended, kill: child.kill.bind(child) }
}

/** Waits until `isTrue`, for at most `timeoutMs`; says `what` was awaited when it never is. */
export async function until(what: string, isTrue: () => boolean, timeoutMs = 10_000) {
  const deadline = Date.now() + timeoutMs
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error(`${what} did not happen in ${timeoutMs} ms`)
    await new Promise((done) => setTimeout(done, 10))
  }
}
