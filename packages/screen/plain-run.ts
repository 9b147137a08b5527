// Tells output that does nothing but print, so that most of a flood of it can be passed over: what has scrolled out of what a screen
// keeps leaves no trace but the pen. Where that is not sure, nothing is passed over.

const tab = 0x09
const lineFeed = 0x0a
const carriageReturn = 0x0d
const escapeByte = 0x1b
const remove = 0x7f
/** U+0080 to U+009F, controls among them, begin with it in UTF-8. */
const c1Lead = 0xc2
/** Of an SGR that is not whole; emulators take no more parameters. */
const maxRest = 256

const nothing = Buffer.alloc(0)

/** What one part of it comes to. */
export type PlainPart = {
  readonly lineFeeds: number
  /** Those after its first CR; null where it has none. A line feed alone keeps the column, and with it a trace of what came before. */
  readonly lineFeedsAfterReturn: number | null
  /** The SGR sequences alone that end in it, as they came. */
  readonly styles: Buffer
  /** Whether it ends between characters and sequences. */
  readonly isWhole: boolean
}

/** Reads output in parts, from between two characters on. */
export class PlainRun {
  #rest = nothing

  /** Null where the output is more than printing: characters, CR, LF, tabs and SGR. Then nothing can be read any more. */
  read(part: Uint8Array): PlainPart | null {
    const bytes = this.#rest.length === 0 ? part : Buffer.concat([this.#rest, part])
    this.#rest = nothing
    const styles: Uint8Array[] = []
    let lineFeeds = 0
    let beforeReturn: number | null = null
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] ?? 0
      if (byte >= 0x20) {
        if (byte === remove || byte === c1Lead) return null
      } else if (byte === lineFeed) lineFeeds++
      else if (byte === escapeByte) {
        const end = endOfStyle(bytes, at)
        if (end === null) return null
        if (end > bytes.length) {
          this.#rest = Buffer.from(bytes.subarray(at))
          break
        }
        styles.push(bytes.subarray(at, end))
        at = end - 1
      } else if (byte === carriageReturn) beforeReturn ??= lineFeeds
      else if (byte !== tab) return null
    }
    const isWhole = this.#rest.length === 0 && (part.at(-1) ?? 0) < 0x80
    if (this.#rest.length > maxRest) return null
    return {
      lineFeeds,
      lineFeedsAfterReturn: beforeReturn === null ? null : lineFeeds - beforeReturn,
      styles: styles.length === 0 ? nothing : Buffer.concat(styles),
      isWhole,
    }
  }
}

/** Where the SGR ends that begins here: beyond the end of the bytes where it is not whole, and null where it is none. */
function endOfStyle(bytes: Uint8Array, from: number): number | null {
  if (from + 1 < bytes.length && bytes[from + 1] !== 0x5b) return null
  for (let at = from + 2; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0
    if (byte === 0x6d) return at + 1
    // Digits, colon, semicolon.
    if (byte < 0x30 || byte > 0x3b) return null
  }
  return bytes.length + 1
}
