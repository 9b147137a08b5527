// The audit log as it is read over the socket: by its owner alone in this process, and by several people of a real service.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { after, before, describe, type TestContext, test } from 'node:test'
import { AnswerError } from '@teleclaude/client/client.ts'
import {
  auditPageSchema,
  auditStateSchema,
  checkpointViewSchema,
  keyChangeViewSchema,
  recordingCheckSchema,
} from '@teleclaude/core/audit-api.ts'
import { drill } from '@teleclaude/core/audit-drill.ts'
import { verifyProofFile } from '@teleclaude/core/audit-proof.ts'
import { verifyAuditExport } from '@teleclaude/core/audit-verify.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { engineNames, queryRows, startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres-server.ts'
import { newSession, serveInProcess } from '../test-serve.ts'
import { alice, ask, bob, config, openDoorway, serveTo } from '../test-service.ts'
import { theApi } from './record.ts'
import { TestAuditor } from './test-log.ts'

const host = 'h'

async function linesOf(stream: AsyncIterable<Buffer>): Promise<string[]> {
  let text = ''
  for await (const part of stream) text += part
  return text.trimEnd().split('\n')
}

async function metricsAt(socketPath: string): Promise<string> {
  const sent = get({ socketPath, path: '/metrics' })
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return (await linesOf(response)).join('\n')
}

const says = (code: string) => (error: unknown) => error instanceof AnswerError && error.problem.code === code

for (const name of engineNames) {
  describe(`on ${name}`, { timeout: 60_000 }, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    async function make(t: TestContext) {
      const { store, target } = await engine.createStore()
      const serving = await serveInProcess(t, store, host)
      const auditor = new TestAuditor(store, host)
      return { store, target, auditor, ...serving }
    }

    async function cosignAll(
      store: Store,
      auditor: TestAuditor,
      client: { readAuditExport(): Promise<AsyncIterable<Buffer>> },
    ) {
      await auditor.say()
      // An export has the log signed first.
      await linesOf(await client.readAuditExport())
      return auditor.cosign().then(async (size) => assert.ok(size > 0 && size <= (await store.audit.headSeq(host))))
    }

    test('the export of a service verifies, and a drill on it finds everything', async (t) => {
      const { store, client, auditor } = await make(t)
      for (let count = 0; count < 5; count++) await client.createSession(newSession)
      await cosignAll(store, auditor, client)
      await client.rotateAuditKey()
      await client.createSession(newSession)
      await cosignAll(store, auditor, client)
      const lines = await linesOf(await client.readAuditExport())
      const report = await verifyAuditExport(lines, { keys: [], since: null })
      assert.deepEqual(report.faults, [])
      assert.deepEqual([report.intact, report.complete, report.host], [true, true, host])
      assert.ok((report.cosigned?.size ?? 0) > 0)
      const { results } = await drill(lines, { keys: [], since: null })
      assert.ok(results.length >= 7)
      assert.deepEqual(
        results.filter((result) => result.outcome !== 'found').map((result) => [result.name, result.outcome]),
        [],
      )
    })

    test('an export says where the database finds entries by something else than they say', async (t) => {
      const { target, client } = await make(t)
      await client.createSession(newSession)
      const change = `UPDATE audit_entries SET owner = 'somebody' WHERE action = 'session.started'`
      const trigger =
        target.engine === 'sqlite'
          ? 'DROP TRIGGER audit_entries_stay_unchanged'
          : 'ALTER TABLE audit_entries DISABLE TRIGGER ALL'
      await queryRows(target, trigger)
      await queryRows(target, change)
      const report = await verifyAuditExport(await linesOf(await client.readAuditExport()), { keys: [], since: null })
      assert.equal(report.intact, false)
      assert.deepEqual(
        report.faults.map(({ kind }) => kind),
        ['index'],
      )
    })

    test('entries are listed newest first, page by page, with what was written in the place of commitments', async (t) => {
      const { store, target, client } = await make(t)
      for (let count = 0; count < 5; count++) {
        const event = { action: 'access.ended', actor: theApi, session: null, detail: { count } } as const
        await store.audit.append(host, [{ ...event, texts: { reason: `reason ${count}` } }], 1_000_000 + count)
      }
      const all = auditPageSchema.parse(await client.listAudit({ limit: 200 }))
      assert.equal(all.nextCursor, null)
      const seqs = all.entries.map(({ seq }) => seq)
      assert.deepEqual(
        seqs,
        [...seqs].sort((one, other) => Number(other) - Number(one)),
      )
      const paged = []
      for (let cursor: string | null | undefined; cursor !== null; ) {
        const page = await client.listAudit({
          limit: 2,
          action: 'access.ended',
          ...(cursor === undefined ? {} : { cursor }),
        })
        paged.push(...page.entries)
        cursor = page.nextCursor
      }
      assert.deepEqual(
        paged.map(({ detail }) => detail.reason),
        [4, 3, 2, 1, 0].map((count) => `reason ${count}`),
      )
      const { entries } = await client.listAudit({
        since: '1970-01-01T00:00:01.000002Z',
        until: '1970-01-01T00:00:01.000004Z',
      })
      assert.deepEqual(
        entries.map(({ detail }) => detail.count),
        [4, 3, 2],
      )
      await queryRows(target, `DELETE FROM audit_texts WHERE text = 'reason 3'`)
      const { entries: erased } = await client.listAudit({ action: 'access.ended', limit: 2 })
      assert.deepEqual(
        erased.map(({ detail }) => detail.reason),
        ['reason 4', '(erased)'],
      )
      for (const cursor of ['0', '-1', 'x', '1e3', '99999999999999999'])
        await assert.rejects(client.listAudit({ cursor }), says('invalid'))
    })

    test('an entry is proved with the newest cosigned checkpoint that has it, and verifies without the service', async (t) => {
      const { store, client, auditor } = await make(t)
      const event = { action: 'access.ended', actor: theApi, session: null, detail: {} } as const
      const seq = await store.audit.append(host, [{ ...event, texts: { reason: 'to see' } }], 1)
      await cosignAll(store, auditor, client)
      const { keys, cosigned } = checkpointViewSchema.parse(await client.readCheckpoint())
      const vkeys = [...keys.log.map(({ vkey }) => vkey), keys.auditor ?? '']
      assert.ok(cosigned?.includes('teleclaude.auditor/h'))
      const proof = verifyProofFile(await client.readProof({ seq }), vkeys)
      assert.deepEqual(
        [proof.holds, proof.faults, proof.entry?.seq, proof.texts],
        [true, [], seq, { reason: 'to see' }],
      )
      assert.deepEqual(
        proof.cosignedBy.map((one) => one.name),
        ['teleclaude.auditor/h'],
      )
      // One that is not cosigned yet is signed at once.
      const later = await store.audit.append(host, [event], 2)
      const fresh = verifyProofFile(await client.readProof({ seq: later }), vkeys)
      assert.deepEqual([fresh.holds, fresh.cosignedBy, fresh.entry?.seq], [true, [], later])
      await assert.rejects(client.readProof({ seq: 99_999 }), says('not-found'))
      await assert.rejects(client.readProof({ grant: crypto.randomUUID() }), says('not-found'))
    })

    test('the state says how far it is signed, cosigned and shipped, and an alarm is acknowledged once', async (t) => {
      const { store, client, auditor } = await make(t)
      const before = auditStateSchema.parse(await client.readAuditState())
      assert.partialDeepStrictEqual(before, {
        host,
        fault: null,
        exposureSeconds: null,
        auditor: null,
        sinks: [],
        alarms: [],
      })
      await cosignAll(store, auditor, client)
      await store.audit.moveCursor(host, 'file', 2)
      const id = await auditor.raise('gap')
      const behind = auditStateSchema.parse(await client.readAuditState())
      assert.ok((behind.exposureSeconds ?? 0) > 0)
      assert.partialDeepStrictEqual(behind, {
        auditor: { vkey: auditor.vkey, stale: false },
        sinks: [{ sink: 'file', seq: 2, completeThrough: 2, parked: 0 }],
        alarms: [{ id, kind: 'gap', acknowledgedBy: null }],
      })
      await client.acknowledgeAlarm(id, 'looked into it')
      await assert.rejects(client.acknowledgeAlarm(id, 'again'), says('conflict'))
      await assert.rejects(client.acknowledgeAlarm(crypto.randomUUID(), 'none'), says('not-found'))
      await assert.rejects(client.acknowledgeAlarm('x', 'none'), says('not-found'))
      const { alarms } = await client.readAuditState()
      assert.equal(alarms[0]?.acknowledgedBy, 'tester')
      const { entries } = await client.listAudit({ action: 'alarm.acknowledged' })
      assert.deepEqual(
        entries.map(({ detail }) => detail),
        [{ alarm: id, note: 'looked into it' }],
      )
      await store.audit.moveCursor(host, 'file', await store.audit.headSeq(host))
      assert.equal((await client.readAuditState()).exposureSeconds, 0)
    })

    test('metrics count, and name nobody', async (t) => {
      const { client, auditor, path } = await make(t)
      const { session } = await client.createSession(newSession)
      await auditor.say()
      await auditor.raise('fork')
      await client.readSession(crypto.randomUUID()).catch(() => undefined)
      const text = await metricsAt(path)
      assert.match(text, /^teleclaude_requests_total\{action="session.create",code="201"\} 1$/m)
      assert.match(text, /^teleclaude_requests_total\{action="session.read",code="404"\} 1$/m)
      assert.match(text, /^teleclaude_live_sessions 1$/m)
      assert.match(text, /^teleclaude_audit_entries [1-9]\d*$/m)
      assert.match(text, /^process_resident_memory_bytes \d+/m)
      assert.match(text, /^nodejs_eventloop_lag_p99_seconds /m)
      assert.ok(!text.includes(session.id) && !text.includes('tester'))
      // Asked again, nothing is counted twice.
      assert.match(await metricsAt(path), /session.create",code="201"\} 1$/m)
    })
  })
}

if (process.getuid?.() === 0) {
  describe('with several people', { timeout: 120_000 }, () => {
    let postgres: TestPostgres
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
    })
    after(() => postgres.stop())

    test('who is no admin reads what is about themselves, without its numbers, and proves what was done under a grant on what is theirs', async (t) => {
      const { place, store } = await serveTo(t, postgres, config)
      const as = (uid: number) => (method: string, path: string, body?: unknown) =>
        ask(place.socket, uid, method, path, body)
      const [admin, member] = [as(alice), as(bob)]
      const created = await member('POST', '/v1/sessions', newSession)
      const { id } = created.body.session as { id: string }
      await admin('POST', '/v1/sessions', newSession)
      const opened = await admin('POST', '/v1/access-grants', { session: id, reason: 'to help' })
      assert.equal(opened.status, 201, JSON.stringify(opened.body))
      const grant = String(opened.body.id)

      const mine = auditPageSchema.parse((await member('GET', '/v1/audit?limit=2')).body)
      assert.ok(mine.entries.every(({ seq }) => seq === null))
      assert.partialDeepStrictEqual(mine.entries[0], {
        action: 'access.opened',
        actor: 'alice',
        detail: { reason: 'to help' },
      })
      assert.doesNotMatch(String(mine.nextCursor), /^\d+$/)
      const seen: string[] = []
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page: {
          entries: readonly { action: string; actor: string; session: { owner: string } | null }[]
          nextCursor: string | null
        } = auditPageSchema.parse(
          (await member('GET', `/v1/audit?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`)).body,
        )
        for (const { action, actor, session } of page.entries) {
          assert.ok(actor === 'bob' || session?.owner === 'bob', action)
          seen.push(action)
        }
        cursor = page.nextCursor
      }
      assert.ok(seen.includes('session.started') && seen.includes('access.opened') && !seen.includes('service.started'))
      assert.equal((await member('GET', '/v1/audit?cursor=1')).status, 422)
      assert.equal((await member('GET', '/v1/audit?actor=alice&owner=alice')).body.nextCursor, null)

      const theirs = await member('GET', `/v1/audit/proof?grant=${grant}`)
      const { keys } = checkpointViewSchema.parse((await member('GET', '/v1/audit/checkpoint')).body)
      const proofs = (theirs.body.proofs as unknown[]).map((proof) =>
        verifyProofFile(
          JSON.stringify(proof),
          keys.log.map(({ vkey }) => vkey),
        ),
      )
      assert.deepEqual(
        proofs.map(({ holds, entry, texts }) => [holds, entry?.action, texts]),
        [[true, 'access.opened', { reason: 'to help' }]],
      )
      assert.equal((await member('GET', '/v1/audit/proof?seq=1')).status, 403)
      for (const path of ['/v1/audit/export', '/v1/audit/state', '/v1/audit/recordings', '/metrics'])
        assert.equal((await member('GET', path)).status, 403, path)
      const own = await admin('POST', '/v1/access-grants', { session: id, reason: 'again' })
      await admin('DELETE', `/v1/access-grants/${String(own.body.id)}`)
      const two = await admin('GET', `/v1/audit/proof?grant=${String(own.body.id)}`)
      assert.equal((two.body.proofs as unknown[]).length, 2)
      assert.equal((await member('GET', `/v1/audit/proof?grant=${crypto.randomUUID()}`)).status, 404)

      const rotated = keyChangeViewSchema.parse((await admin('POST', '/v1/audit/rotate-key', {})).body)
      assert.equal(rotated.epoch, 2)
      assert.equal((await store.audit.readHead('h')).epoch, 2)
      assert.ok(recordingCheckSchema)
    })
  })
}
