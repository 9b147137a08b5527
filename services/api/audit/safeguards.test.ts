import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startEngine, type TestEngine } from '@teleclaude/store/test-engines.ts'
import { pino } from 'pino'
import type { Service } from '../service.ts'
import { readSafeguards } from './safeguards.ts'

let engine: TestEngine
before(async () => {
  engine = await startEngine('postgres')
})
after(() => engine.stop())

test('who asks many times at once makes the database try once', async () => {
  const { store } = await engine.createStore()
  let tried = 0
  const audit = {
    ...store.audit,
    tryTampering(host: string) {
      tried += 1
      return store.audit.tryTampering(host)
    },
  }
  const service = { store: { ...store, audit }, host: 'h', log: pino({ level: 'silent' }) } as unknown as Service
  const answers = await Promise.all(Array.from({ length: 20 }, () => readSafeguards({ service })))
  for (const answer of answers) {
    assert.partialDeepStrictEqual(answer, { status: 200, json: { checks: [{ check: 'audit-append-only', ok: true }] } })
  }
  assert.equal(tried, 1)
})
