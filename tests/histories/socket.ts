import { WebSocket } from "ws"

import { check } from "../crash/client.ts"

/** A frame of the server. */
export interface Frame {
  type: string
  id?: number
  room?: string
  seq?: number
  next?: number
  count?: number
  code?: string
  message?: string
  duplicate?: boolean
  events?: unknown[]
}

/** One connection of the live protocol, without any of what makes a client come back. */
export class LiveSocket {
  readonly #socket: WebSocket
  readonly #answers = new Map<number, (frame: Frame | undefined) => void>()
  #nextId = 1
  /** Called with every frame that answers nothing. */
  onFrame: (frame: Frame) => void = () => {}

  private constructor(socket: WebSocket) {
    this.#socket = socket
  }

  /** Connects; `undefined` when that fails, as it does while nobody listens. */
  static open(origin: string): Promise<LiveSocket | undefined> {
    const raw = new WebSocket(`${origin.replace("http", "ws")}/v1/live`, ["floe.v1.json"], {
      perMessageDeflate: false,
    })
    const socket = new LiveSocket(raw)
    raw.on("message", (data: Buffer) => socket.#hear(JSON.parse(data.toString()) as Frame))
    return new Promise((done) => {
      raw.once("open", () => done(socket))
      raw.on("error", () => done(undefined))
      raw.once("close", () => {
        done(undefined)
        for (const answer of socket.#answers.values()) answer(undefined)
        socket.#answers.clear()
      })
    })
  }

  /** Resolves when the connection is over. */
  get closed(): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return Promise.resolve()
    return new Promise((done) => this.#socket.once("close", () => done()))
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN
  }

  /** Sends a request; resolves with its answer, or `undefined` when the connection ends first. */
  ask(frame: Record<string, unknown>): Promise<Frame | undefined> {
    if (!this.isOpen) return Promise.resolve(undefined)
    const id = this.#nextId
    this.#nextId += 1
    return new Promise((done) => {
      this.#answers.set(id, done)
      this.#socket.send(JSON.stringify({ ...frame, id }))
    })
  }

  /** Takes nothing from the network for some time. */
  stall(ms: number): void {
    if (!this.isOpen) return
    this.#socket.pause()
    setTimeout(() => this.#socket.resume(), ms)
  }

  /** Breaks the connection off without a word. */
  cut(): void {
    this.#socket.terminate()
  }

  #hear(frame: Frame) {
    const answer = frame.id === undefined ? undefined : this.#answers.get(frame.id)
    if (answer === undefined || frame.id === undefined) return this.onFrame(frame)
    this.#answers.delete(frame.id)
    answer(frame)
  }
}

/** Whether a server that refuses with this code may do it the next time. */
export function mayPass(code: string | undefined): boolean {
  check(code !== undefined, () => "a refusal without a code")
  return ["STOPPING", "OVERLOADED", "DISK_FULL", "VIEW_BEHIND", "SLOW_CONSUMER"].includes(code)
}
