import { writeFileSync } from "node:fs"

const RATE = 48_000
const SECONDS = 10
const HEADER_BYTES = 44

/** Writes a WAV file of a pure tone, which goes on without a break when it is played over and over. */
export function writeTone(path: string, hertz: number): void {
  const samples = RATE * SECONDS
  const file = Buffer.alloc(HEADER_BYTES + samples * 2)
  file.write("RIFF", 0)
  file.writeUInt32LE(file.length - 8, 4)
  file.write("WAVEfmt ", 8)
  file.writeUInt32LE(16, 16)
  file.writeUInt16LE(1, 20) // PCM
  file.writeUInt16LE(1, 22) // one channel
  file.writeUInt32LE(RATE, 24)
  file.writeUInt32LE(RATE * 2, 28)
  file.writeUInt16LE(2, 32)
  file.writeUInt16LE(16, 34)
  file.write("data", 36)
  file.writeUInt32LE(samples * 2, 40)
  for (let at = 0; at < samples; at += 1) {
    const level = Math.sin((2 * Math.PI * hertz * at) / RATE)
    file.writeInt16LE(Math.round(level * 0.5 * 32767), HEADER_BYTES + at * 2)
  }
  writeFileSync(path, file)
}
