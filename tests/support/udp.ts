import { createSocket, type RemoteInfo, type Socket } from "node:dgram"
import type { AddressInfo } from "node:net"

import { Random } from "./random.ts"

/**
 * A UDP proxy between browsers and a server, each way with a socket of its own. It loses datagrams by
 * chance, all of them, or those of all ways that there are by now, as if a network had gone.
 */
export class UdpProxy {
  /** Datagrams that went to the server, that came from it, and that were lost. */
  readonly counts = { up: 0, down: 0, lost: 0 }
  /** How likely a datagram is lost, in either direction. */
  loss = 0
  /** Where the server takes datagrams. */
  target = 0
  readonly #front: Socket
  readonly #ways = new Map<string, Way>()
  readonly #random: Random

  private constructor(front: Socket, seed: number) {
    this.#front = front
    this.#random = new Random(seed)
  }

  static async start(seed: number): Promise<UdpProxy> {
    const front = createSocket("udp4")
    const proxy = new UdpProxy(front, seed)
    front.on("message", (bytes, from) => proxy.#up(bytes, from))
    await new Promise<void>((done) => front.bind(0, "127.0.0.1", done))
    return proxy
  }

  get address(): string {
    return `127.0.0.1:${(this.#front.address() as AddressInfo).port}`
  }

  /** How many ways browsers have had. */
  get ways(): number {
    return this.#ways.size
  }

  /** From now on nothing comes through on the ways that there are: browsers must find others. */
  sever(): void {
    for (const way of this.#ways.values()) way.isSevered = true
  }

  async close(): Promise<void> {
    for (const { socket } of this.#ways.values()) socket.close()
    await new Promise<void>((done) => this.#front.close(done))
  }

  #up(bytes: Buffer, from: RemoteInfo) {
    const name = `${from.address}:${from.port}`
    const way = this.#ways.get(name) ?? this.#open(name, from)
    if (this.#isLost(way)) return
    this.counts.up += 1
    way.socket.send(bytes, this.target, "127.0.0.1")
  }

  #open(name: string, to: RemoteInfo): Way {
    const way: Way = { socket: createSocket("udp4"), isSevered: false }
    way.socket.on("message", (bytes) => {
      if (this.#isLost(way)) return
      this.counts.down += 1
      this.#front.send(bytes, to.port, to.address)
    })
    // Where nothing listens, datagrams come back as errors.
    way.socket.on("error", () => {})
    this.#ways.set(name, way)
    return way
  }

  #isLost(way: Way): boolean {
    const isLost = way.isSevered || this.#random.chance(this.loss)
    if (isLost) this.counts.lost += 1
    return isLost
  }
}

interface Way {
  socket: Socket
  isSevered: boolean
}
