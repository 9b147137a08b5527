// What values look like wherever they cross the socket as JSON.

import { z } from 'zod'
import { maxReasonLength } from './access.ts'

const noNul = (text: string) => !text.includes('\0')
/** Text the database can hold: well-formed Unicode without NUL. */
export const text = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine(noNul, 'must not contain a NUL character')
    .refine((value) => value.isWellFormed(), 'must be well-formed Unicode')

/** RFC 3339 in UTC with microseconds. */
export const time = z.iso.datetime({ precision: 6 })

export const sessionIdSchema = z.uuid().toLowerCase()

const maxPageLimit = 200
/** Of a page. */
export const limit = z.coerce.number<string | number>().int().min(1).max(maxPageLimit)

/** One line that people read, as somebody typed it. */
export const reason = z
  .string()
  .trim()
  .min(1, 'must say why')
  .max(maxReasonLength)
  .refine((value) => value.isWellFormed(), 'must be well-formed Unicode')
  // Also what would turn the order of a line around (Unicode TR 9), and what is invisible.
  .refine((value) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(value), 'must be one line without control characters')
