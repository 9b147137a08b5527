// A command whose output tells which of its bytes are missing or came twice.

/** A POSIX shell script: numbered lines of 80 bytes, with a pause after each where one is asked for. */
export function numberedLines({
  lines,
  everySeconds = 0,
}: {
  readonly lines: number
  readonly everySeconds?: number
}): string {
  const pause = everySeconds > 0 ? `; sleep ${everySeconds}` : ''
  return `i=0; while [ $i -lt ${lines} ]; do i=$((i + 1)); printf '%078d\\n' $i${pause}; done`
}

/** Null where the terminal showed exactly these lines; else the first difference. A terminal shows LF as CR LF. */
export function lostBytes(shown: Buffer, { lines }: { readonly lines: number }): string | null {
  const wanted = Buffer.from(
    Array.from({ length: lines }, (_none, index) => `${String(index + 1).padStart(78, '0')}\r\n`).join(''),
  )
  if (shown.equals(wanted)) return null
  const at = wanted.findIndex((byte, index) => shown[index] !== byte)
  return `${shown.length} bytes instead of ${wanted.length}, differing from line ${Math.floor(at / 80) + 1} on`
}
