import { InvalidArgumentError } from 'commander'

const unitsMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** A time as people type it, as RFC 3339 in UTC: so long ago (`30m`, `2h`, `7d`), a day, or a day and a time. Without an offset it is
 *  that of the clock here.
 *  @throws InvalidArgumentError */
export function parseInstant(text: string): string {
  const ago = /^(\d{1,6})([smhd])$/.exec(text)
  const unit = ago?.[2]
  if (unit === 's' || unit === 'm' || unit === 'h' || unit === 'd')
    return new Date(Date.now() - Number(ago?.[1]) * unitsMs[unit]).toISOString()
  const form = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?$/
  // A day alone would be one in UTC.
  const at = form.test(text) ? new Date(text.length === 10 ? `${text}T00:00` : text.replace(' ', 'T')) : null
  if (at !== null && !Number.isNaN(at.getTime())) return at.toISOString()
  throw new InvalidArgumentError('It has to be so long ago (30m, 2h, 7d), or a day (2026-01-31), or a day and a time.')
}
