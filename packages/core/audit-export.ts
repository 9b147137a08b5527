// An export of a whole audit log: one JSON object on each line, in an order that lets who verifies it keep nothing of it but a
// frontier. First what log it is; then each entry, in order, and directly after it the checkpoints that end with it; last the end.

import { z } from 'zod'

/** A line longer than this, in UTF-16 code units, is none: the longest entry and the longest note are shorter. */
export const maxExportLineLength = 1024 * 1024

const seq = z.int().min(1)
const vkey = z.string().min(1)

const exportLineSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('log'),
    v: z.literal(1),
    host: z.string().min(1),
    keys: z.strictObject({
      /** The log's keys, as C2SP signed-note writes them, and with which entry the epoch of each begins. */
      log: z.array(z.strictObject({ epoch: z.int().min(1), vkey, fromSeq: seq })),
      /** With which the auditor cosigns; null where there is none. */
      auditor: vkey.nullable(),
    }),
  }),
  z.strictObject({ type: z.literal('entry'), seq, entry: z.string() }),
  /** Stands directly after the entry whose number is its size. */
  z.strictObject({ type: z.literal('checkpoint'), note: z.string(), cosignatures: z.array(z.string()) }),
  /** Of the entry before: what the database finds it by and it does not say itself. */
  z.strictObject({ type: z.literal('fault'), seq, what: z.string() }),
  z.strictObject({ type: z.literal('end'), size: z.int().min(0), root: z.string() }),
])
export type ExportLine = z.infer<typeof exportLineSchema>
export type ExportHeader = Extract<ExportLine, { type: 'log' }>

/** Without its newline. */
export function formatExportLine(line: ExportLine): string {
  return JSON.stringify(line)
}

/** Null for what is no line of an export. */
export function parseExportLine(text: string): ExportLine | null {
  if (text.length > maxExportLineLength) return null
  try {
    const parsed = exportLineSchema.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data : null
  } catch {
    // No JSON.
    return null
  }
}
