// The key that the auditor cosigns with: its own, on its own volume, never in the database.

import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { readSecureFile } from '@teleclaude/config/secure-file.ts'
import { auditorNameOf } from '@teleclaude/core/checkpoint.ts'
import {
  cosignatureV1,
  formatVerifierKey,
  type NoteKey,
  type Signer,
  verifierKeyOf,
} from '@teleclaude/core/signed-note.ts'
import { replaceFile } from './durable-file.ts'

export type AuditorKey = {
  readonly signer: Signer
  readonly note: NoteKey
  /** As others know it (C2SP signed-note). */
  readonly vkey: string
}

function auditorKeyPath(directory: string): string {
  return join(directory, 'auditor.key')
}

/** What can't be used as a key: an admin has to look. */
export class AuditorKeyError extends Error {
  override readonly name = 'AuditorKeyError'
  readonly code = 'auditor-key'
}

/** Null where there is none.
 *  @throws AuditorKeyError where others can read it, or it is no key */
export function readAuditorKey(directory: string, host: string): AuditorKey | null {
  const path = auditorKeyPath(directory)
  // Its group may read the audit files, and never this.
  const { text, faults, warnings } = readSecureFile(path, { mode: 'single-user' })
  const [fault] = [...faults, ...warnings]
  if (fault !== undefined) throw new AuditorKeyError(`cannot use ${path}: it ${fault.problem}; ${fault.mend}`)
  return text === null ? null : toAuditorKey(parseKey(path, text), host)
}

/** Makes a new one, which is durable when this resolves. */
export async function makeAuditorKey(directory: string, host: string): Promise<AuditorKey> {
  const { privateKey } = generateKeyPairSync('ed25519')
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
  await replaceFile(auditorKeyPath(directory), pem.toString(), 0o600)
  return toAuditorKey(privateKey, host)
}

function parseKey(path: string, pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {
    // Its message may repeat what is in the file.
  }
  throw new AuditorKeyError(
    `cannot use ${path}: it is no Ed25519 key; restore it from a backup, or move it away and let the auditor make another ` +
      'one, which an admin then has to accept (auditor accept)',
  )
}

function toAuditorKey(key: KeyObject, host: string): AuditorKey {
  const signer = { name: auditorNameOf(host), key }
  const note = verifierKeyOf(signer, cosignatureV1)
  return { signer, note, vkey: formatVerifierKey(note) }
}
