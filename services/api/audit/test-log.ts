// For tests: what an audit log's export says, and an auditor that cosigns whatever it is given.

import { generateKeyPairSync } from 'node:crypto'
import { type AuditReport, verifyAuditExport } from '@teleclaude/core/audit-verify.ts'
import { auditorNameOf, cosign } from '@teleclaude/core/checkpoint.ts'
import {
  cosignatureV1,
  formatVerifierKey,
  type NoteKey,
  parseVerifierKey,
  verifierKeyOf,
} from '@teleclaude/core/signed-note.ts'
import type { AlarmKind } from '@teleclaude/store/audit-contract.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { type Exported, writeExport } from './export.ts'

type Log = Omit<Exported, 'auditor'>

async function readExport(log: Log): Promise<string[]> {
  let text = ''
  for await (const part of writeExport({ ...log, auditor: { trustedKey: null } })) text += part
  return text.trimEnd().split('\n')
}

export async function verifyLog(log: Log, keys: readonly string[] = []): Promise<AuditReport> {
  return verifyAuditExport(await readExport(log), { keys: keys.map(toKey), since: null })
}

function toKey(vkey: string): NoteKey {
  const key = parseVerifierKey(vkey)
  if (key === null) throw new TypeError(`${vkey} is no key`)
  return key
}

export class TestAuditor {
  readonly #store: Pick<Store, 'audit' | 'auditor'>
  readonly #host: string
  readonly #signer
  readonly vkey: string
  readonly startedAtUs = Date.now() * 1000

  constructor(store: Pick<Store, 'audit' | 'auditor'>, host: string) {
    this.#store = store
    this.#host = host
    this.#signer = { name: auditorNameOf(host), key: generateKeyPairSync('ed25519').privateKey }
    this.vkey = formatVerifierKey(verifierKeyOf(this.#signer, cosignatureV1))
  }

  async say(): Promise<void> {
    const atUs = Date.now() * 1000
    await this.#store.auditor.say(this.#host, {
      vkey: this.vkey,
      startedAtUs: this.startedAtUs,
      atUs,
      state: 'shipping',
      message: null,
      verifiedSeq: 0,
    })
  }

  /** Returns the size of what it has cosigned: the newest checkpoint. */
  async cosign(): Promise<number> {
    const newest = await this.#store.audit.findCheckpoint(this.#host, 'newest')
    if (newest === null) return 0
    const timeS = Math.floor(Date.now() / 1000)
    const line = cosign(newest.note, this.#signer, timeS)
    const { name: signer } = this.#signer
    await this.#store.auditor.cosign(this.#host, { size: newest.size, signer, line, atUs: timeS * 1_000_000 })
    return newest.size
  }

  async raise(kind: AlarmKind, fromSeq = 1, toSeq = 2): Promise<string> {
    const id = crypto.randomUUID()
    const alarm = { id, kind, atUs: Date.now() * 1000, fromSeq, toSeq, message: `a ${kind}` }
    await this.#store.auditor.raiseAlarm(this.#host, alarm)
    return id
  }
}
