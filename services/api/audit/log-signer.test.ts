import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { AuditEvent } from '@teleclaude/core/audit.ts'
import { openCheckpoint, originOf } from '@teleclaude/core/checkpoint.ts'
import { parseVerifierKey } from '@teleclaude/core/signed-note.ts'
import type { Store, StoreTarget } from '@teleclaude/store/contract.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { pino } from 'pino'
import {
  ending,
  engineNames,
  queryRows,
  spawnScript,
  startEngine,
  type TestEngine,
} from '../../../packages/store/test-engines.ts'
import { Assurance } from './assurance.ts'
import { AuditorWatch } from './auditor-watch.ts'
import { listLogKeys } from './checkpoints.ts'
import { AuditKeyError } from './key-file.ts'
import { LogSigner, type LogSignerOptions } from './log-signer.ts'
import { record, theApi } from './record.ts'
import { verifyLog } from './test-log.ts'

const host = 'h'
const something: AuditEvent = { action: 'service.started', actor: theApi, session: null, detail: {} }

function makePlace(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-key-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return join(directory, 'audit.key')
}

function optionsFor(store: Store, keyFile: string, replaceLost = false): LogSignerOptions {
  return { store, host, log: pino({ level: 'silent' }), mode: 'single-user', keyFile, replaceLost }
}

/** For assert.rejects: what it says. */
function isKeyError(says: RegExp) {
  return (error: unknown) => {
    if (!(error instanceof AuditKeyError)) throw error
    assert.match(error.message, says)
    return true
  }
}

const steps = ['before the entry', 'after the entry', 'before the announcement', 'after the announcement'] as const

/** A process that changes the log's key, and is killed at that step. */
const rotateUntil = `
  import { pino } from 'pino'
  const [, target, keyFile, step] = process.argv
  const { openStore } = await import('${import.meta.resolve('@teleclaude/store/open.ts')}')
  const { LogSigner } = await import('${import.meta.resolve('./log-signer.ts')}')
  const store = await openStore(JSON.parse(target))
  const die = () => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => undefined) }
  const at = (name, before, after) => async (...words) => {
    if (step === before) await die()
    const result = await store.audit[name](...words)
    if (step === after) await die()
    return result
  }
  const dying = { audit: {
    ...store.audit,
    beginEpoch: at('beginEpoch', 'before the entry', 'after the entry'),
    addCheckpoint: at('addCheckpoint', 'before the announcement', 'after the announcement'),
  } }
  const options = { host: 'h', log: pino({ level: 'silent' }), mode: 'single-user', keyFile, replaceLost: false }
  const signer = await LogSigner.open({ ...options, store })
  await store.audit.append('h', [{ action: 'service.started', actor: { kind: 'service', name: 'api' }, session: null, detail: {} }], 1)
  await signer.sign()
  const rotating = await LogSigner.open({ ...options, store: dying })
  await rotating.rotate({ kind: 'service', name: 'api' })
  process.stdout.write('rotated')`

for (const name of engineNames) {
  describe(`on ${name}`, { timeout: 120_000 }, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    test('a log without a key gets one, which nobody else can read, and goes on with it', async (t) => {
      const { store } = await engine.createStore()
      const keyFile = makePlace(t)
      await record({ store, host }, something)
      const first = await LogSigner.open(optionsFor(store, keyFile))
      assert.equal(statSync(keyFile).mode & 0o777, 0o600)
      assert.match(readFileSync(keyFile, 'utf8'), /^-----BEGIN PRIVATE KEY-----/)
      const [key, ...others] = await listLogKeys(store, host)
      assert.deepEqual([key?.epoch, key?.vkey, key?.previous, key?.lost, key?.fromSeq], [1, first.vkey, null, false, 2])
      assert.equal(others.length, 0)
      await record({ store, host }, something)
      const second = await LogSigner.open(optionsFor(store, keyFile))
      assert.equal(second.vkey, first.vkey)
      assert.deepEqual([second.signed.size, second.fault], [3, null])
      const report = await verifyLog({ store, host, signer: second }, [first.vkey])
      assert.deepEqual([report.intact, report.complete, report.size, report.faults], [true, true, 3, []])
    })

    test('a key that is there before the log has one is taken', async (t) => {
      const [one, other] = [await engine.createStore(), await engine.createStore()]
      const keyFile = makePlace(t)
      const { vkey } = await LogSigner.open(optionsFor(one.store, keyFile))
      assert.equal((await LogSigner.open(optionsFor(other.store, keyFile))).vkey, vkey)
    })

    test('each checkpoint holds what the one before held; without news there is none', async (t) => {
      const { store } = await engine.createStore()
      const signer = await LogSigner.open(optionsFor(store, makePlace(t)))
      for (let round = 0; round < 5; round++) {
        for (let count = 0; count <= round * 100; count++) record({ store, host }, something).catch(assert.fail)
        await record({ store, host }, something)
        await Promise.all([signer.sign(), signer.sign(), signer.sign()])
        await signer.sign()
      }
      const checkpoints = await store.audit.listCheckpoints(host, { afterSize: 0, limit: 100 })
      assert.equal(new Set(checkpoints.map(({ size }) => size)).size, checkpoints.length)
      assert.equal(checkpoints.at(-1)?.size, await store.audit.headSeq(host))
      const key = parseVerifierKey(signer.vkey)
      for (const { note } of checkpoints)
        assert.equal(openCheckpoint(note, key === null ? [] : [key], originOf(host)).fault, null)
      const report = await verifyLog({ store, host, signer }, [signer.vkey])
      assert.deepEqual([report.intact, report.complete, report.faults], [true, true, []])
    })

    test('while there is news it is signed by itself', async (t) => {
      const { store } = await engine.createStore()
      const keyFile = makePlace(t)
      const news = Promise.withResolvers<number>()
      const audit = {
        ...store.audit,
        async addCheckpoint(...words: Parameters<Store['audit']['addCheckpoint']>) {
          await store.audit.addCheckpoint(...words)
          if (words[1].size > 1) news.resolve(words[1].size)
        },
      }
      const signer = await LogSigner.open({ ...optionsFor(store, keyFile), store: { audit } })
      signer.start()
      const seq = await record({ store, host }, something)
      assert.equal(await news.promise, seq)
      await signer.stop()
    })

    test('without its key it does not go on, and says which one that is and what to do', async (t) => {
      const { store } = await engine.createStore()
      const keyFile = makePlace(t)
      const { vkey } = await LogSigner.open(optionsFor(store, keyFile))
      const open = () => LogSigner.open(optionsFor(store, keyFile))
      const kept = `${keyFile}.kept`

      renameSync(keyFile, kept)
      await assert.rejects(
        open(),
        isKeyError(/epoch 1 is teleclaude\.audit\/h\+.*it is not there\.\nRestore.*--new-audit-key/s),
      )
      const other = makePlace(t)
      await LogSigner.open(optionsFor((await engine.createStore()).store, other))
      writeFileSync(keyFile, readFileSync(other), { mode: 0o600 })
      await assert.rejects(open(), isKeyError(/it is another one, teleclaude/))
      writeFileSync(keyFile, 'no key')
      await assert.rejects(open(), isKeyError(/no Ed25519 key in PEM/))
      renameSync(kept, keyFile)
      for (const mode of [0o640, 0o604, 0o660]) {
        chmodSync(keyFile, mode)
        await assert.rejects(open(), isKeyError(/chmod 600/))
      }
      chmodSync(keyFile, 0o600)
      assert.equal((await open()).vkey, vkey)
      assert.equal((await listLogKeys(store, host)).length, 1)
    })

    test('where the key is lost for good, a new one goes on, and whoever verifies hears of it', async (t) => {
      const { store } = await engine.createStore()
      const keyFile = makePlace(t)
      const first = await LogSigner.open(optionsFor(store, keyFile))
      rmSync(keyFile)
      const second = await LogSigner.open(optionsFor(store, keyFile, true))
      assert.notEqual(second.vkey, first.vkey)
      const [, key] = await listLogKeys(store, host)
      assert.deepEqual([key?.epoch, key?.vkey, key?.previous, key?.lost], [2, second.vkey, first.vkey, true])
      const doubtful = await verifyLog({ store, host, signer: second }, [first.vkey])
      assert.equal(doubtful.intact, false)
      assert.deepEqual([...new Set(doubtful.faults.map(({ kind }) => kind))], ['key'])
      const accepted = await verifyLog({ store, host, signer: second }, [first.vkey, second.vkey])
      assert.deepEqual([accepted.intact, accepted.complete], [true, true])
      // Said again, it changes nothing.
      assert.equal((await LogSigner.open(optionsFor(store, keyFile, true))).vkey, second.vkey)
      // One that is there and is another is kept beside.
      writeFileSync(keyFile, 'no key')
      await LogSigner.open(optionsFor(store, keyFile, true))
      assert.equal(readFileSync(`${keyFile}.of-epoch-2`, 'utf8'), 'no key')
    })

    test('a new key is announced by the old one, and the log verifies by the first alone', async (t) => {
      const { store } = await engine.createStore()
      const keyFile = makePlace(t)
      const signer = await LogSigner.open(optionsFor(store, keyFile))
      const vkeys = [signer.vkey]
      for (let epoch = 2; epoch <= 4; epoch++) {
        await record({ store, host }, something)
        const entry = await signer.rotate(theApi)
        assert.deepEqual([entry.epoch, entry.vkey], [epoch, signer.vkey])
        vkeys.push(signer.vkey)
        await record({ store, host }, something)
      }
      assert.equal(new Set(vkeys).size, 4)
      assert.equal(existsSync(`${keyFile}.new`), false)
      assert.equal((await LogSigner.open(optionsFor(store, keyFile))).vkey, signer.vkey)
      const report = await verifyLog({ store, host, signer }, vkeys.slice(0, 1))
      assert.deepEqual([report.intact, report.complete, report.faults], [true, true, []])
    })

    test('a log that is another than what was signed is not signed, also not after a restart', async (t) => {
      const { store, target } = await engine.createStore()
      const keyFile = makePlace(t)
      const signer = await LogSigner.open(optionsFor(store, keyFile))
      await record({ store, host }, something)
      const before = await copyLog(target)
      for (let count = 0; count < 3; count++) await record({ store, host }, something)
      await signer.sign()
      assert.deepEqual([signer.signed.size, signer.fault], [5, null])
      await restoreLog(target, before)
      await signer.sign()
      assert.match(signer.fault ?? '', /it has 2 entries, and 5 of them are signed/)
      for (let count = 0; count < 9; count++) await record({ store, host }, { ...something, detail: { count } })
      await signer.sign()
      assert.match(signer.fault ?? '', /its first 5 entries are not those that were signed/)
      const again = await LogSigner.open(optionsFor(store, keyFile))
      assert.match(again.fault ?? '', /its first 5 entries are not those that were signed/)
      await assert.rejects(again.rotate(theApi), /cannot change the audit log's key: its first 5/)
      assert.equal((await store.audit.findCheckpoint(host, 'newest'))?.size, 5)
      const watch = new AuditorWatch({ store, host, log: pino({ level: 'silent' }), trustedKey: () => null })
      t.after(() => watch.stop())
      const policy = () => ({ require: 'committed', onAlarm: 'refuse', auditorKey: null }) as const
      const assurance = new Assurance({ policy, watch, signer: again })
      assert.throws(() => assurance.requireCalm(), { name: 'ProblemError', code: 'audit-alarm' })
      const report = await verifyLog({ store, host, signer: again }, [signer.vkey])
      assert.deepEqual([report.intact, report.complete], [false, false])
    })

    for (const step of steps) {
      test(`killed ${step} of a change of keys, it goes on with one key or the other`, async (t) => {
        const { store, target } = await engine.createStore()
        const keyFile = makePlace(t)
        const { vkey: first } = await LogSigner.open(optionsFor(store, keyFile))
        const child = spawnScript(rotateUntil, JSON.stringify(target), keyFile, step)
        assert.equal(await ending(child), 'SIGKILL')
        const signer = await LogSigner.open(optionsFor(store, keyFile))
        const keys = await listLogKeys(store, host)
        assert.equal(keys.at(-1)?.vkey, signer.vkey)
        assert.equal(keys.length, step === 'before the entry' ? 1 : 2)
        await record({ store, host }, something)
        await signer.rotate(theApi)
        await record({ store, host }, something)
        const report = await verifyLog({ store, host, signer }, [first])
        assert.deepEqual([report.intact, report.complete, report.faults], [true, true, []])
        assert.equal(existsSync(`${keyFile}.new`), false)
        const opened = await openStore(target)
        t.after(() => opened.close())
        assert.equal((await LogSigner.open(optionsFor(opened, keyFile))).vkey, signer.vkey)
      })
    }
  })
}

type Copy = { readonly seq: unknown; readonly tree: unknown; readonly epoch: unknown }

async function copyLog(target: StoreTarget): Promise<Copy> {
  const hex = target.engine === 'sqlite' ? 'hex(tree)' : "encode(tree, 'hex')"
  const [row] = await queryRows(target, `SELECT seq, ${hex} AS tree, epoch FROM audit_heads`)
  return row as Copy
}

/** As whoever owns the database can. */
async function restoreLog(target: StoreTarget, { seq, tree, epoch }: Copy): Promise<void> {
  const open = {
    sqlite: await triggersOf(target),
    postgres: ['audit_entries', 'audit_subtrees', 'audit_checkpoints'].map(
      (table) => `ALTER TABLE ${table} DISABLE TRIGGER ALL`,
    ),
  }[target.engine]
  for (const statement of open) await queryRows(target, statement)
  await queryRows(target, `DELETE FROM audit_entries WHERE seq > ${seq}`)
  const bytes = target.engine === 'sqlite' ? `X'${tree}'` : `decode('${tree}', 'hex')`
  await queryRows(target, `UPDATE audit_heads SET seq = ${seq}, tree = ${bytes}, epoch = ${epoch}`)
}

async function triggersOf(target: StoreTarget): Promise<readonly string[]> {
  if (target.engine !== 'sqlite') return []
  const rows = await queryRows(
    target,
    "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name LIKE 'audit%'",
  )
  return rows.map((row) => `DROP TRIGGER ${(row as { name: string }).name}`)
}
