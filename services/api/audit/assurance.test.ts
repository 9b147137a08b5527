import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { AuditPolicy } from '@teleclaude/config/load.ts'
import { parseAuditEntry } from '@teleclaude/core/audit.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { pino } from 'pino'
import { engineNames, startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { Assurance } from './assurance.ts'
import { AuditorWatch } from './auditor-watch.ts'
import { LogSigner } from './log-signer.ts'
import { record, theApi } from './record.ts'
import { TestAuditor } from './test-log.ts'

const host = 'h'
const log = pino({ level: 'silent' })
const something = { action: 'service.started', actor: theApi, session: null, detail: {} } as const

const isProblem = (code: ProblemError['code']) => (error: unknown) =>
  error instanceof ProblemError && error.code === code

async function make(t: TestContext, store: Store, policy: AuditPolicy, maxWaitMs?: number) {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-key-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const options = {
    store,
    host,
    log,
    mode: 'single-user',
    keyFile: join(directory, 'audit.key'),
    replaceLost: false,
  } as const
  const signer = await LogSigner.open(options)
  const watch = new AuditorWatch({ store, host, log, trustedKey: () => policy.auditorKey })
  const listening = store.listen(host, (what) => {
    if (what === 'auditor') watch.hint()
  })
  t.after(async () => {
    await listening.close()
    await watch.stop()
  })
  await watch.look()
  const assurance = new Assurance({
    policy: () => policy,
    watch,
    signer,
    ...(maxWaitMs === undefined ? {} : { maxWaitMs }),
  })
  return { signer, watch, assurance }
}

async function detailsOf(store: Store, action: string) {
  const found = await store.audit.find(host, { scope: { kind: 'all' }, action, limit: 100 })
  return found.map(({ bytes }) => parseAuditEntry(bytes)?.detail)
}

for (const name of engineNames) {
  describe(`on ${name}`, { timeout: 60_000 }, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    test('where a commit is enough, nobody is waited for', async (t) => {
      const { store } = await engine.createStore()
      const { assurance } = await make(t, store, { require: 'committed', onAlarm: 'warn', auditorKey: null })
      await assurance.untilSafe(await record({ store, host }, something))
    })

    test('where a cosignature is asked for, it is waited for, and nothing less will do', async (t) => {
      const { store } = await engine.createStore()
      const { assurance, signer } = await make(t, store, { require: 'cosigned', onAlarm: 'warn', auditorKey: null })
      const auditor = new TestAuditor(store, host)
      await auditor.say()
      await signer.sign()
      await auditor.cosign()
      const seq = await record({ store, host }, something)
      let isSafe = false
      const waiting = assurance.untilSafe(seq).then(() => {
        isSafe = true
      })
      // It is signed at once, for somebody waits.
      await signer.sign()
      assert.ok(signer.signed.size >= seq)
      assert.equal(isSafe, false)
      await auditor.cosign()
      await waiting
    })

    test('without the cosignature in time it is refused, whatever stands in its place', async (t) => {
      const { store } = await engine.createStore()
      const { assurance } = await make(t, store, { require: 'cosigned', onAlarm: 'warn', auditorKey: null }, 300)
      const seq = await record({ store, host }, something)
      await assert.rejects(assurance.untilSafe(seq), isProblem('not-recorded'))
      const auditor = new TestAuditor(store, host)
      await auditor.say()
      await assert.rejects(assurance.untilSafe(seq), isProblem('not-recorded'))
      // Of another key than the auditor says is its own.
      await new TestAuditor(store, host).cosign()
      await assert.rejects(assurance.untilSafe(seq), isProblem('not-recorded'))
    })

    test('a new auditor and its alarms are put on the record, once', async (t) => {
      const { store } = await engine.createStore()
      const { watch } = await make(t, store, { require: 'committed', onAlarm: 'warn', auditorKey: null })
      const auditor = new TestAuditor(store, host)
      await auditor.say()
      const ids = [await auditor.raise('fork', 3, 5), await auditor.raise('gap', 7, 7)]
      await watch.look()
      await auditor.say()
      await watch.look()
      // As after a restart.
      const again = new AuditorWatch({ store, host, log, trustedKey: () => null })
      await again.look()
      await again.stop()
      const started = await detailsOf(store, 'auditor.started')
      assert.deepEqual(
        started.map((detail) => detail?.vkey),
        [auditor.vkey],
      )
      const raised = await detailsOf(store, 'alarm.raised')
      assert.deepEqual(new Set(raised.map((detail) => detail?.alarm)), new Set(ids))
      assert.equal(raised.length, 2)
    })

    test('after an alarm nothing is shown until an admin has looked, where the configuration asks for that', async (t) => {
      const { store } = await engine.createStore()
      const policy: { require: 'committed'; onAlarm: AuditPolicy['onAlarm']; auditorKey: null } = {
        require: 'committed',
        onAlarm: 'refuse',
        auditorKey: null,
      }
      const { watch, assurance } = await make(t, store, policy)
      assurance.requireCalm()
      const auditor = new TestAuditor(store, host)
      const id = await auditor.raise('rollback')
      await watch.look()
      assert.throws(() => assurance.requireCalm(), isProblem('audit-alarm'))
      policy.onAlarm = 'warn'
      assurance.requireCalm()
      policy.onAlarm = 'refuse'
      await store.auditor.acknowledgeAlarm(host, id, 'alice', 1)
      await watch.look()
      assurance.requireCalm()
    })

    test('where the key of the auditor is configured, no other signs in its place, whatever the database says', async (t) => {
      const { store } = await engine.createStore()
      const [own, other] = [new TestAuditor(store, host), new TestAuditor(store, host)]
      const policy = { require: 'cosigned', onAlarm: 'refuse', auditorKey: own.vkey } as const
      const { assurance, signer, watch } = await make(t, store, policy, 300)
      await record({ store, host }, something)
      await signer.sign()
      const { size } = signer.signed
      await other.say()
      await other.cosign()
      await watch.look()
      assert.deepEqual([watch.cosignedSize, watch.fault === null], [0, false])
      await assert.rejects(assurance.untilSafe(size), isProblem('not-recorded'))
      assert.throws(() => assurance.requireCalm(), isProblem('audit-alarm'))
      await own.cosign()
      await watch.look()
      await assurance.untilSafe(size)
      assert.throws(() => assurance.requireCalm(), isProblem('audit-alarm'))
      await own.say()
      await watch.look()
      assurance.requireCalm()
      assert.equal(watch.fault, null)
    })
  })
}

test('what was cosigned under a number does not stand for what came under it after the log was set back', async () => {
  const assurance = new Assurance({
    policy: () => ({ require: 'cosigned', onAlarm: 'warn', auditorKey: null }),
    watch: { alarms: [], cosignedSize: 22, fault: null, look: async () => undefined, next: () => Promise.resolve() },
    signer: { sign: async () => undefined, fault: 'its first 22 entries are not those that were signed' },
  })
  await assert.rejects(assurance.untilSafe(22), (error) => {
    assert.match(String(error), /something is wrong with the audit log.*telec audit alarms/)
    return isProblem('not-recorded')(error)
  })
})
