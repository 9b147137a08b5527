// An audit log with its keys, as a daemon and an auditor would keep it, for tests of what verifies one.

import { generateKeyPairSync } from 'node:crypto'
import { type AuditAction, type AuditEntry, encodeAuditEntry } from './audit.ts'
import { type ExportLine, formatExportLine } from './audit-export.ts'
import { encodeBase64 } from './base64.ts'
import { auditorNameOf, cosign, originOf, signCheckpoint } from './checkpoint.ts'
import { emptyFrontier, type Hash, leafHash, TreeBuilder } from './merkle.ts'
import { cosignatureV1, ed25519, formatVerifierKey, type NoteKey, type Signer, verifierKeyOf } from './signed-note.ts'

export const newSigner = (name: string): Signer => ({ name, key: generateKeyPairSync('ed25519').privateKey })

export class TestAuditLog {
  readonly host: string
  readonly auditor: Signer
  readonly lines: ExportLine[] = []
  readonly entries: Uint8Array[] = []
  readonly leaves: Hash[] = []
  /** Checkpoint notes, newest last, with the cosignatures that they have. */
  readonly notes: string[] = []
  readonly signers: Signer[] = []
  readonly #tree = TreeBuilder.from(emptyFrontier)
  readonly #keys: { epoch: number; vkey: string; fromSeq: number }[] = []

  constructor(host = 'build-box') {
    this.host = host
    this.auditor = newSigner(auditorNameOf(host))
  }

  get size(): number {
    return this.#tree.size
  }

  get auditorKey(): NoteKey {
    return verifierKeyOf(this.auditor, cosignatureV1)
  }

  get logKeys(): readonly NoteKey[] {
    return this.signers.map((signer) => verifierKeyOf(signer, ed25519))
  }

  append(action: AuditAction = 'session.started', detail: AuditEntry['detail'] = {}): void {
    const seq = this.size + 1
    this.appendBytes(
      encodeAuditEntry({
        host: this.host,
        epoch: this.signers.length,
        seq,
        atUs: 1_769_853_600_000_000 + seq,
        action,
        actor: { kind: 'service', name: 'api' },
        session: null,
        detail,
      }),
    )
  }

  appendBytes(entry: Uint8Array): void {
    const leaf = leafHash(entry)
    this.#tree.append(leaf)
    this.leaves.push(leaf)
    this.entries.push(entry)
    this.lines.push({ type: 'entry', seq: this.size, entry: encodeBase64(entry) })
  }

  /** Begins the next epoch, with a new key. */
  rotate(signer: Signer = newSigner(originOf(this.host)), lost = false): void {
    const previous = this.#keys.at(-1)?.vkey ?? null
    this.signers.push(signer)
    const vkey = formatVerifierKey(verifierKeyOf(signer, ed25519))
    this.#keys.push({ epoch: this.signers.length, vkey, fromSeq: this.size + 1 })
    this.append('key.changed', { epoch: this.signers.length, publicKey: vkey, previous, lost })
  }

  checkpoint(o: { cosignedS?: number; by?: readonly Signer[]; root?: Hash; size?: number } = {}): string {
    const [first = newSigner(originOf(this.host)), ...more] = o.by ?? this.signers.slice(-1)
    const checkpoint = { origin: originOf(this.host), size: o.size ?? this.size, root: o.root ?? this.#tree.root() }
    const note = signCheckpoint(checkpoint, first, ...more)
    const cosignatures = o.cosignedS === undefined ? [] : [cosign(note, this.auditor, o.cosignedS)]
    this.notes.push(note)
    this.lines.push({ type: 'checkpoint', note, cosignatures })
    return note
  }

  header(): ExportLine {
    const auditor = formatVerifierKey(this.auditorKey)
    return { type: 'log', v: 1, host: this.host, keys: { log: [...this.#keys], auditor } }
  }

  end(): ExportLine {
    return { type: 'end', size: this.size, root: encodeBase64(this.#tree.root()) }
  }

  export(): string[] {
    return [this.header(), ...this.lines, this.end()].map(formatExportLine)
  }
}
