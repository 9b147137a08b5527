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
