// The public keys that somebody has kept: a line each, in the form of C2SP signed-note; lines that begin with # say what they are.

import { readFileSync } from 'node:fs'
import type { CheckpointView } from '@teleclaude/core/audit-api.ts'
import { auditorNameOf, originOf } from '@teleclaude/core/checkpoint.ts'
import { type NoteKey, parseVerifierKey } from '@teleclaude/core/signed-note.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { exitCodes, Failure } from '../failure.ts'

const maxFileLength = 256 * 1024

/** As `readKeysFile` reads it. */
export function formatKeys({ host, keys }: Pick<CheckpointView, 'host' | 'keys'>): string {
  const log = keys.log.flatMap(({ epoch, vkey, fromSeq }) => [`# epoch ${epoch}, from entry ${fromSeq} on`, vkey])
  const auditor = [`# Its auditor: ${auditorNameOf(host)}`, keys.auditor ?? '# There is none yet.']
  const lines = [`# The log: ${originOf(host)}`, ...log, ...auditor]
  return lines.map((line) => `${neutralise(line)}\n`).join('')
}

/** @throws Failure where it can't be read, or has something else than keys */
export function readKeysFile(file: string): { readonly vkeys: readonly string[]; readonly keys: readonly NoteKey[] } {
  const lines = readText(file)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  const keys = lines.map((line) => {
    const key = parseVerifierKey(line)
    if (key !== null) return key
    throw new Failure(
      exitCodes.data,
      `cannot use the keys in ${file}: ${neutralise(line.slice(0, 80))} is no public key`,
    )
  })
  if (keys.length === 0) throw new Failure(exitCodes.data, `cannot use the keys in ${file}: there is none`)
  return { vkeys: lines, keys }
}

/** @throws Failure */
export function readText(file: string, maxLength = maxFileLength): string {
  try {
    const text = readFileSync(file, 'utf8')
    if (text.length <= maxLength) return text
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Failure(exitCodes.data, `cannot read ${file}: ${why}`, { cause: error })
  }
  throw new Failure(exitCodes.data, `cannot read ${file}: it is longer than ${maxLength} characters`)
}
