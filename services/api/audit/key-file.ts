// The file of the audit log's private key. Whoever can read it can sign another log in this one's name, so a file that is anybody
// else's to read is refused, and what is written is on the disk before anything refers to it.

import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { closeSync, fsyncSync, lstatSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Mode } from '@teleclaude/config/layout.ts'
import { readSecureFile } from '@teleclaude/config/secure-file.ts'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'

export class AuditKeyError extends Error {
  override readonly name = 'AuditKeyError'
  readonly code = 'audit-key'
  /** sysexits(3): EX_CONFIG */
  readonly exitCode = 78
}

export function makeKey(): KeyObject {
  return generateKeyPairSync('ed25519').privateKey
}

/** Null where there is no such file. @throws AuditKeyError for one that can't be used */
export function readKeyFile(path: string, mode: Mode): KeyObject | null {
  const { text, faults, warnings } = readSecureFile(path, { mode })
  const [fault] = [...faults, ...warnings]
  if (fault !== undefined) {
    throw new AuditKeyError(`cannot use the audit log's key ${path}: it ${fault.problem}; ${fault.mend}`)
  }
  if (text === null) return null
  refuseOpen(path)
  try {
    const key = createPrivateKey({ key: text, format: 'pem' })
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {
    // What the message would say of the contents is nobody's to know.
  }
  throw new AuditKeyError(
    `cannot use the audit log's key ${path}: it is no Ed25519 key in PEM; restore it from a backup`,
  )
}

/** Of a key not even the service's own group reads. */
function refuseOpen(path: string): void {
  const { mode } = lstatSync(path)
  if ((mode & 0o077) === 0) return
  const octal = (mode & 0o7777).toString(8).padStart(4, '0')
  throw new AuditKeyError(
    `cannot use the audit log's key ${path}: others than its owner can open it (mode ${octal}); close it: chmod 600 ${shellQuote(path)}`,
  )
}

/** Durable when it returns. @throws AuditKeyError */
export function writeKeyFile(path: string, key: KeyObject): void {
  const beside = `${path}.tmp`
  try {
    rmSync(beside, { force: true })
    const file = openSync(beside, 'wx', 0o600)
    try {
      writeSync(file, key.export({ type: 'pkcs8', format: 'pem' }).toString())
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameDurably(beside, path)
  } catch (cause) {
    throw unwritable(path, cause)
  }
}

/** The key file `from` takes the place of the one at `to`. Durable when it returns. @throws AuditKeyError */
export function replaceKeyFile(from: string, to: string): void {
  try {
    renameDurably(from, to)
  } catch (cause) {
    throw unwritable(to, cause)
  }
}

/** What is at the path is put aside, under a name that says which epoch it was there in. Nothing where nothing is there.
 *  @throws AuditKeyError */
export function keepKeyFile(path: string, epoch: number): void {
  try {
    renameSync(path, `${path}.of-epoch-${epoch}`)
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')) throw unwritable(path, cause)
  }
}

function renameDurably(from: string, to: string): void {
  renameSync(from, to)
  const directory = openSync(dirname(to), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

function unwritable(path: string, cause: unknown): AuditKeyError {
  const why = cause instanceof Error && 'code' in cause ? String(cause.code) : 'it failed'
  const mend = `its directory has to be the service's own, with room: see ls -ld ${shellQuote(dirname(path))}`
  return new AuditKeyError(`cannot write the audit log's key ${path}: ${why}; ${mend}`, { cause })
}
