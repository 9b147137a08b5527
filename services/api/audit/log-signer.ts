// Signs the audit log: checkpoints, each of which holds all that the ones before it held. It never signs less than it has signed, nor
// anything else; and no key signs before the key before it has said that it follows.

import type { KeyObject } from 'node:crypto'
import type { Mode } from '@teleclaude/config/layout.ts'
import type { AuditActor, AuditEvent } from '@teleclaude/core/audit.ts'
import { formatCheckpoint, openCheckpoint, originOf, signCheckpoint } from '@teleclaude/core/checkpoint.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import {
  consistencyProof,
  emptyRoot,
  equalHashes,
  type Hash,
  TreeBuilder,
  verifyConsistency,
} from '@teleclaude/core/merkle.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import {
  addSignatures,
  ed25519,
  formatVerifierKey,
  parseVerifierKey,
  type Signer,
  signText,
  verifierKeyOf,
} from '@teleclaude/core/signed-note.ts'
import { type Store, StoreError } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import { type LogKeyEntry, listLogKeys, newestLogKey } from './checkpoints.ts'
import { AuditKeyError, keepKeyFile, makeKey, readKeyFile, replaceKeyFile, writeKeyFile } from './key-file.ts'
import { theApi } from './record.ts'

/** While there is news. */
const signEveryMs = 1_000

export type LogSignerOptions = {
  readonly store: Pick<Store, 'audit'>
  readonly host: string
  readonly log: Logger
  readonly mode: Mode
  readonly keyFile: string
  /** Where the log's key is lost for good: go on with a new one. */
  readonly replaceLost: boolean
}

type OwnKey = { readonly signer: Signer; readonly vkey: string; readonly epoch: number }
export type Tree = { readonly size: number; readonly root: Hash }

export class LogSigner {
  readonly #options: LogSignerOptions
  #own: OwnKey
  /** The largest that a checkpoint says. */
  #signed: Tree = { size: 0, root: emptyRoot }
  #fault: string | null = null
  /** What was wrong from the start. */
  #broken: string | null = null
  /** One thing at a time: each depends on what was signed before, and by which key. */
  #queue: Promise<unknown> = Promise.resolve()
  #next: Promise<void> | null = null
  #timer: NodeJS.Timeout | null = null
  #isAway = false
  #stopped = false

  private constructor(options: LogSignerOptions, own: OwnKey) {
    this.#options = options
    this.#own = own
  }

  /** Makes the log's first key where it has none, and finishes a change of keys that was broken off.
   *  @throws AuditKeyError where the key at hand is not that of the log; StoreError */
  static async open(options: LogSignerOptions): Promise<LogSigner> {
    const own = await openKey(options)
    const signer = new LogSigner(options, own)
    await signer.#recall()
    await signer.sign()
    return signer
  }

  /** Of the key that signs now. */
  get vkey(): string {
    return this.#own.vkey
  }

  /** The largest tree that a checkpoint is over. */
  get signed(): Tree {
    return this.#signed
  }

  /** Why it does not sign the log as it is; null where it does. */
  get fault(): string | null {
    return this.#fault
  }

  start(): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      this.sign()
        .then(
          () => {
            this.#isAway = false
          },
          (error: unknown) => this.#noteFailure(error),
        )
        .finally(() => this.start())
    }, signEveryMs)
    this.#timer.unref()
  }

  /** Signs the log as it is once more, so that its end is signed, too. @throws StoreError */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.sign()
  }

  /** Resolves once the log is signed as it was at the call, or later; where it is not to be signed, `fault` says so.
   *  @throws StoreError, AuditKeyError */
  sign(): Promise<void> {
    this.#next ??= this.#inTurn(() => {
      this.#next = null
      return this.#signHead()
    })
    return this.#next
  }

  /** Goes on with a new key, which the present one announces.
   *  @throws ProblemError, StoreError, AuditKeyError: begun, it is finished at the next signature */
  rotate(actor: AuditActor): Promise<LogKeyEntry> {
    return this.#inTurn(async () => {
      const { store, host, mode, keyFile } = this.#options
      await this.#signHead()
      if (this.#fault !== null) throw new ProblemError('conflict', `cannot change the audit log's key: ${this.#fault}`)
      const key = takeNewKey(keyFile, mode)
      const { vkey: previous, epoch } = this.#own
      const event = keyChanged(actor, { epoch: epoch + 1, publicKey: vkeyOf(host, key), previous, lost: false })
      if ((await store.audit.beginEpoch(host, epoch, event, nowUs())) === null) {
        throw new ProblemError('conflict', "cannot change the audit log's key: it was changed at the same time")
      }
      await this.#signHead()
      const entry = await newestLogKey(store, host)
      if (this.#fault !== null || entry === null || entry.epoch !== this.#own.epoch) {
        throw new ProblemError(
          'conflict',
          `cannot finish the change of the audit log's key: ${this.#fault ?? 'see the log'}`,
        )
      }
      return entry
    })
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#queue.then(work)
    this.#queue = done.catch(() => undefined)
    return done
  }

  /** What was signed before this process. What it says is believed of its size alone: the tree has to hold it. */
  async #recall(): Promise<void> {
    const { store, host } = this.#options
    const stored = await store.audit.findCheckpoint(host, 'newest')
    if (stored === null) return
    const keys = (await listLogKeys(store, host))
      .map(({ vkey }) => parseVerifierKey(vkey))
      .filter((key) => key !== null)
    const opened = openCheckpoint(stored.note, keys, originOf(host))
    // Not to be passed over: whoever can put it there can take others away.
    if (opened.fault !== null || opened.checkpoint.size !== stored.size) {
      this.#broken = `its checkpoint of ${stored.size} entries is ${opened.fault ?? 'of another size'}`
      return
    }
    this.#signed = opened.checkpoint
  }

  async #signHead(): Promise<void> {
    try {
      const { epoch, tree } = await this.#readTree()
      if (epoch !== this.#own.epoch) await this.#followEpoch(epoch)
      else if (await this.#mayBeSigned(tree)) await this.#publish(tree, null)
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'audit-broken')) throw error
      this.#complain(error.message)
    }
  }

  async #readTree(): Promise<{ readonly epoch: number; readonly tree: Tree }> {
    const { store, host } = this.#options
    const { epoch, frontier } = await store.audit.readHead(host)
    return { epoch, tree: { size: frontier.size, root: TreeBuilder.from(frontier).root() } }
  }

  async #mayBeSigned(tree: Tree): Promise<boolean> {
    const fault = await this.#findFault(tree)
    if (fault !== null) this.#complain(fault)
    else this.#fault = null
    return fault === null
  }

  async #findFault({ size, root }: Tree): Promise<string | null> {
    const { store, host } = this.#options
    const last = this.#signed
    if (this.#broken !== null) return this.#broken
    if (size < last.size) return `it has ${size} entries, and ${last.size} of them are signed`
    const other = `its first ${last.size} entries are not those that were signed`
    if (size === last.size) return equalHashes(root, last.root) ? null : other
    if (last.size === 0) return null
    const proof = await consistencyProof(last.size, size, (wanted) => store.audit.readSubtrees(host, wanted))
    return verifyConsistency({ from: last.size, fromRoot: last.root, to: size, toRoot: root, proof }) ? null : other
  }

  /** `next`: whom it announces. */
  async #publish(tree: Tree, next: Signer | null): Promise<void> {
    if (tree.size === this.#signed.size && next === null) return
    const { store, host } = this.#options
    const checkpoint = { origin: originOf(host), ...tree }
    const note = signCheckpoint(checkpoint, this.#own.signer)
    const lines = next === null ? [] : [signText(formatCheckpoint(checkpoint), next)]
    await store.audit.addCheckpoint(host, { size: tree.size, note: addSignatures(note, lines), madeAtUs: nowUs() })
    this.#signed = tree
  }

  /** Finishes a change of keys: the old one signs that the new one follows, and only then it takes its place. Broken off, it is
   *  done again from here. */
  async #followEpoch(epoch: number): Promise<void> {
    const { store, host, mode, keyFile, log } = this.#options
    const entry = await newestLogKey(store, host)
    const key = readKeyFile(besideOf(keyFile), mode)
    if (entry === null || key === null || entry.epoch !== epoch || vkeyOf(host, key) !== entry.vkey) {
      this.#complain(`it is in epoch ${epoch}, and the key of that is not here`)
      return
    }
    const next = ownKey(host, key, epoch)
    const { tree } = await this.#readTree()
    if (!(await this.#mayBeSigned(tree))) return
    await this.#publish(tree, next.signer)
    replaceKeyFile(besideOf(keyFile), keyFile)
    this.#own = next
    log.info({ epoch, vkey: next.vkey }, 'the audit log has a new key')
  }

  #complain(fault: string): void {
    if (fault !== this.#fault)
      this.#options.log.error({ fault }, 'ALARM: the audit log is not what was signed: not signing it')
    this.#fault = fault
  }

  #noteFailure(error: unknown): void {
    if (!(error instanceof StoreError)) this.#options.log.error({ err: error }, 'cannot sign the audit log')
    else if (!this.#isAway) this.#options.log.warn({ err: error }, 'cannot sign the audit log now')
    this.#isAway = error instanceof StoreError
  }
}

/** The key that signs from here on: that of the log's newest epoch, or the one before where a change was broken off. */
async function openKey(options: LogSignerOptions): Promise<OwnKey> {
  const { store, host, mode, keyFile, replaceLost } = options
  const newest = await newestLogKey(store, host)
  if (newest === null) return beginFirst(options)
  let key: KeyObject | null = null
  try {
    key = readKeyFile(keyFile, mode)
  } catch (error) {
    if (!(replaceLost && error instanceof AuditKeyError)) throw error
  }
  if (key !== null && vkeyOf(host, key) === newest.vkey) return ownKey(host, key, newest.epoch)
  const beside = readKeyFile(besideOf(keyFile), mode)
  if (beside !== null && vkeyOf(host, beside) === newest.vkey) {
    if (newest.lost || (await isAnnounced(options, newest))) {
      keepKeyFile(keyFile, newest.epoch - 1)
      replaceKeyFile(besideOf(keyFile), keyFile)
      return ownKey(host, beside, newest.epoch)
    }
    // It is still the old one's turn.
    if (key !== null && vkeyOf(host, key) === newest.previous) return ownKey(host, key, newest.epoch - 1)
  }
  if (replaceLost) return beginAnew(options, newest)
  throw notTheKey(options, key, newest)
}

async function beginFirst(options: LogSignerOptions): Promise<OwnKey> {
  const { store, host, mode, keyFile, log } = options
  // One that is there is of a database that was made anew, or of a start that was broken off.
  let key = readKeyFile(keyFile, mode)
  if (key === null) {
    key = makeKey()
    writeKeyFile(keyFile, key)
  }
  const own = ownKey(host, key, 1)
  const event = keyChanged(theApi, { epoch: 1, publicKey: own.vkey, previous: null, lost: false })
  if ((await store.audit.beginEpoch(host, 0, event, nowUs())) === null) return openKey(options)
  log.info(
    { vkey: own.vkey, keyFile },
    'the audit log has its first key: keep a copy of its file where only you can read it',
  )
  return own
}

async function beginAnew(options: LogSignerOptions, newest: LogKeyEntry): Promise<OwnKey> {
  const { store, host, mode, keyFile, log } = options
  const epoch = newest.epoch + 1
  const own = ownKey(host, takeNewKey(keyFile, mode), epoch)
  const event = keyChanged(theApi, { epoch, publicKey: own.vkey, previous: newest.vkey, lost: true })
  if ((await store.audit.beginEpoch(host, newest.epoch, event, nowUs())) === null) return openKey(options)
  keepKeyFile(keyFile, newest.epoch)
  replaceKeyFile(besideOf(keyFile), keyFile)
  log.warn(
    { epoch, vkey: own.vkey },
    "the audit log's key is replaced without the old one: auditors ask an admin to accept that",
  )
  return own
}

/** Whether the key before has signed a checkpoint that has the new one's entry in it. */
async function isAnnounced({ store, host }: LogSignerOptions, entry: LogKeyEntry): Promise<boolean> {
  const previous = entry.previous === null ? null : parseVerifierKey(entry.previous)
  const stored = await store.audit.findCheckpoint(host, { atLeast: entry.fromSeq })
  if (previous === null || stored === null) return false
  const opened = openCheckpoint(stored.note, [previous], originOf(host))
  return opened.fault === null && opened.checkpoint.size === stored.size
}

function notTheKey(
  { host, keyFile }: LogSignerOptions,
  key: KeyObject | null,
  { vkey, epoch }: LogKeyEntry,
): AuditKeyError {
  const found = key === null ? 'it is not there' : `it is another one, ${vkeyOf(host, key)}`
  return new AuditKeyError(
    `cannot go on with the audit log: its key of epoch ${epoch} is ${vkey}, and should be in ${keyFile}, but ${found}.
Restore the file from a backup (mode 0600). Where the key is lost for good, start once with --new-audit-key: that begins a new epoch, is
on the record, and auditors ask an admin to accept it.`,
  )
}

/** Durable before the log says that it follows. One that is there was never used. */
function takeNewKey(keyFile: string, mode: Mode): KeyObject {
  const there = readKeyFile(besideOf(keyFile), mode)
  if (there !== null) return there
  const key = makeKey()
  writeKeyFile(besideOf(keyFile), key)
  return key
}

function besideOf(keyFile: string): string {
  return `${keyFile}.new`
}

function ownKey(host: string, key: KeyObject, epoch: number): OwnKey {
  return { signer: { name: originOf(host), key }, vkey: vkeyOf(host, key), epoch }
}

function vkeyOf(host: string, key: KeyObject): string {
  return formatVerifierKey(verifierKeyOf({ name: originOf(host), key }, ed25519))
}

function keyChanged(
  actor: AuditActor,
  detail: {
    readonly epoch: number
    readonly publicKey: string
    readonly previous: string | null
    readonly lost: boolean
  },
): AuditEvent {
  return { action: 'key.changed', actor, session: null, detail }
}
