// For tests of what is signed: a log with a key of its own, in a database, and everything an attacker can do to it there.

import { generateKeyPairSync } from 'node:crypto'
import type { AuditEvent } from '@teleclaude/core/audit.ts'
import { originOf, signCheckpoint } from '@teleclaude/core/checkpoint.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { TreeBuilder } from '@teleclaude/core/merkle.ts'
import { ed25519, formatVerifierKey, type Signer, verifierKeyOf } from '@teleclaude/core/signed-note.ts'
import { host, type Site } from './test-site.ts'

export function makeSigner(): Signer {
  return { name: originOf(host), key: generateKeyPairSync('ed25519').privateKey }
}

export function vkeyOf(signer: Signer): string {
  return formatVerifierKey(verifierKeyOf(signer, ed25519))
}

export class SignedLog {
  readonly #site: Site
  epoch = 0
  signer: Signer | null = null

  constructor(site: Site) {
    this.#site = site
  }

  static async make(site: Site): Promise<SignedLog> {
    const log = new SignedLog(site)
    await log.beginEpoch(makeSigner())
    return log
  }

  /** The entry that names the key; it signs from now on. */
  async beginEpoch(signer: Signer, change: Partial<AuditEvent['detail']> = {}): Promise<void> {
    const previous = this.signer === null ? null : vkeyOf(this.signer)
    const detail = { epoch: this.epoch + 1, publicKey: vkeyOf(signer), previous, lost: false, ...change }
    const event: AuditEvent = {
      action: 'key.changed',
      actor: { kind: 'service', name: 'api' },
      session: null,
      detail: Object.fromEntries(
        Object.entries(detail).filter(([, value]) => value !== undefined),
      ) as AuditEvent['detail'],
    }
    await this.#site.store.audit.beginEpoch(host, this.epoch, event, nowUs())
    this.epoch += 1
    this.signer = signer
  }

  /** A checkpoint of all there is. */
  async sign(signer = this.signer): Promise<number> {
    const { frontier } = await this.#site.store.audit.readHead(host)
    return this.put(frontier.size, TreeBuilder.from(frontier).root(), signer)
  }

  async put(size: number, root: Uint8Array, signer = this.signer): Promise<number> {
    if (signer === null) throw new TypeError('the log has no key yet')
    const note = signCheckpoint({ origin: originOf(host), size, root }, signer)
    await this.#site.store.audit.addCheckpoint(host, { size, note, madeAtUs: nowUs() })
    return size
  }

  async append(entries: number): Promise<void> {
    await this.#site.append(entries)
  }

  /** What its owner can do with a database. */
  async tamper(...statements: readonly string[]): Promise<void> {
    const tables = ['audit_entries', 'audit_checkpoints', 'audit_subtrees', 'audit_texts']
    for (const table of tables) await this.#site.ask(`ALTER TABLE ${table} DISABLE TRIGGER USER`)
    for (const statement of statements) await this.#site.ask(statement)
  }

  /** A copy of all tables of the log, as of now: what a restored backup brings back. */
  async backUp(): Promise<() => Promise<void>> {
    const tables = [
      'audit_heads',
      'audit_entries',
      'audit_subtrees',
      'audit_checkpoints',
      'audit_cosignatures',
      'auditor_cursors',
    ]
    for (const table of tables) await this.#site.ask(`CREATE TABLE kept_${table} AS SELECT * FROM ${table}`)
    return () =>
      this.tamper(
        'DELETE FROM audit_texts',
        ...tables.flatMap((table) => [`DELETE FROM ${table}`, `INSERT INTO ${table} SELECT * FROM kept_${table}`]),
      )
  }
}
