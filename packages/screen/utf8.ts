// UTF-8 that comes in parts, cut anywhere (RFC 3629, section 4).

const noBytes = new Uint8Array(0)

export class Utf8Reader {
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  #unfinished = noBytes

  /** The bytes at the end of what was read that begin a character which is not there yet. */
  get unfinished(): Uint8Array {
    return this.#unfinished
  }

  /** The characters that are whole by now; for what is none, U+FFFD. */
  read(bytes: Uint8Array): string {
    const all = this.#unfinished.length === 0 ? bytes : Buffer.concat([this.#unfinished, bytes])
    const end = all.length - unfinishedLength(all)
    // A copy: the bytes are the caller's.
    this.#unfinished = new Uint8Array(all.subarray(end))
    return this.#decoder.decode(all.subarray(0, end))
  }
}

function unfinishedLength(bytes: Uint8Array): number {
  for (let length = 1; length <= Math.min(3, bytes.length); length++) {
    const byte = bytes[bytes.length - length] ?? 0
    if (byte < 0x80) return 0
    if (byte < 0xc0) continue
    const whole = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : byte < 0xf8 ? 4 : 1
    return length < whole ? length : 0
  }
  return 0
}
