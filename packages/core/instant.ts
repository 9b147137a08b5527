// Times inside the program are microseconds since 1970-01-01T00:00:00Z, as safe integers; outside they are RFC 3339.

export function nowUs(): number {
  return Date.now() * 1000
}

/** RFC 3339 in UTC with six decimals: `2026-01-31T10:00:00.000001Z`. */
export function formatInstant(us: number): string {
  const ms = Math.floor(us / 1000)
  const micros = us - ms * 1000
  return `${new Date(ms).toISOString().slice(0, -1)}${String(micros).padStart(3, '0')}Z`
}

/** Of a time in RFC 3339, with whatever offset. What is finer is cut off, and what a safe integer can't hold is as far as one can.
 *  NaN for what is none. */
export function parseInstant(text: string): number {
  const [, fraction = ''] = /\.(\d+)/.exec(text) ?? []
  const us = Date.parse(text.replace(/\.\d+/, '')) * 1000 + Number(fraction.slice(0, 6).padEnd(6, '0'))
  return Math.min(us, Number.MAX_SAFE_INTEGER)
}
