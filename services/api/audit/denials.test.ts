import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { AuditEntry } from '@teleclaude/core/audit.ts'
import { type InstanceLock, type Store, StoreError } from '@teleclaude/store/contract.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { pino } from 'pino'
import { startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { Denials } from './denials.ts'

const log = pino({ level: 'silent' })
let engine: TestEngine
before(async () => {
  engine = await startEngine('sqlite')
})
after(() => engine.stop())

async function entriesOf(store: Store): Promise<readonly AuditEntry[]> {
  // What is appended after them is written after them.
  const event = {
    action: 'service.started',
    actor: { kind: 'service', name: 'api' },
    session: null,
    detail: {},
  } as const
  await store.audit.append('h', [event], 1)
  const stored = await store.audit.read('h', { afterSeq: 0, limit: 1000 })
  return stored
    .map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()) as AuditEntry)
    .filter(({ action }) => action === 'request.denied')
}

function denial(uid: number) {
  const actor = { kind: 'caller', person: null, osUser: null, uid, pid: 7 } as const
  return { actor, request: 'session.list', reason: 'unknown', session: null }
}

test('a caller’s denials are a few a minute on the record; the next says how many were left out', async () => {
  const { store } = await engine.createStore()
  let nowMs = 0
  const denials = new Denials({ store, host: 'h' }, log, () => nowMs)
  for (let count = 0; count < 100; count++) denials.note(denial(1000))
  denials.note(denial(1001))
  nowMs = 60_000
  denials.note(denial(1000))
  const entries = await entriesOf(store)
  assert.equal(entries.length, 7)
  assert.partialDeepStrictEqual(entries[0], {
    actor: { kind: 'caller', uid: 1000, pid: 7 },
    detail: { request: 'session.list', reason: 'unknown', leftOut: 0 },
  })
  assert.deepEqual(
    entries.slice(5).map(({ detail }) => detail.leftOut),
    [95, 0],
  )
})

test('a user who calls as thousands of uids does not fill the log', async () => {
  const { store } = await engine.createStore()
  let nowMs = 0
  const denials = new Denials({ store, host: 'h' }, log, () => nowMs)
  for (let uid = 100_000; uid < 165_536; uid++) denials.note(denial(uid))
  nowMs = 60_000
  denials.note(denial(1))
  const entries = await entriesOf(store)
  assert.equal(entries.length, 61)
  assert.equal(entries.at(-1)?.detail.leftOut, 65_476)
})

test('what could not be recorded while the database was away is counted in the next entry', async () => {
  const { target } = await engine.createStore()
  let isAway = true
  const lock: InstanceLock = {
    requireHeld() {
      if (isAway) throw new StoreError('unavailable', 'cannot reach it: a test')
    },
    onAway: () => undefined,
    lost: new Promise(() => undefined),
    release: async () => undefined,
  }
  const store = await openStore(target, { lock })
  const denials = new Denials({ store, host: 'h' }, log)
  for (let count = 0; count < 3; count++) denials.note(denial(1000))
  await assert.rejects(store.ping())
  isAway = false
  denials.note(denial(1000))
  assert.deepEqual(
    (await entriesOf(store)).map(({ detail }) => detail.leftOut),
    [3],
  )
  await store.close()
})
