// Times as people read them in a list.

const units = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
] as const

/** How long ago, in the largest unit that is full: `5s`, `3m`, `2h`, `4d`. Both are microseconds since 1970-01-01T00:00:00Z;
 *  what lies ahead (a clock was set back) is `0s`. */
export function age(us: number, nowUs: number): string {
  const seconds = Math.max(0, Math.floor((nowUs - us) / 1e6))
  for (const [unit, length] of units) if (seconds >= length) return `${Math.floor(seconds / length)}${unit}`
  return `${seconds}s`
}

/** An RFC 3339 time on the clock of whoever reads it: `16:05`, or `2026-11-24 16:05` where that is another day. */
export function clock(time: string, now = new Date()): string {
  const at = new Date(time)
  const two = (value: number) => String(value).padStart(2, '0')
  const hours = `${two(at.getHours())}:${two(at.getMinutes())}`
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  return at.toDateString() === now.toDateString() ? hours : `${day} ${hours}`
}
