import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DrillReport, drill, tamperings } from './audit-drill.ts'
import type { Anchors } from './audit-verify.ts'
import { TestAuditLog } from './test-audit-log.ts'

const outcomes = ({ results }: DrillReport) => Object.fromEntries(results.map(({ name, outcome }) => [name, outcome]))
const all = (outcome: string, except: Readonly<Record<string, string>> = {}) =>
  Object.fromEntries(tamperings.map(({ name }) => [name, except[name] ?? outcome]))
const kindsOf = ({ results }: DrillReport, name: string) =>
  results.find((result) => result.name === name)?.faults.map(({ kind }) => kind) ?? []
const unanchored: Anchors = { keys: [], since: null }

/** Forty entries with a checkpoint after every fifth, in three epochs; every second one cosigned, if there is an auditor. */
function forty(cosigned: boolean): TestAuditLog {
  const log = new TestAuditLog()
  log.append()
  log.rotate()
  for (let seq = 3; seq <= 40; seq += 1) {
    if (seq === 13 || seq === 31) {
      log.rotate()
      log.checkpoint({ by: log.signers.slice(-2) })
    } else log.append('session.started', { n: seq })
    if (seq % 5 === 0) log.checkpoint(cosigned && seq % 10 === 0 && seq < 40 ? { cosignedS: 1_769_853_600 + seq } : {})
  }
  return log
}

test('each way of tampering is found where an auditor has cosigned', async () => {
  const log = forty(true)
  const lines = log.export()
  const before = [...lines]
  for (const anchors of [unanchored, { keys: [...log.logKeys, log.auditorKey], since: log.notes[1] ?? null }]) {
    const report = await drill(lines, anchors)
    assert.deepEqual(outcomes(report), all('found'))
    assert.ok(report.holds && report.log.intact && report.log.complete)
    for (const { faults, name } of report.results) assert.ok(faults.length > 0, name)
    for (const [name, kind] of [
      ['flip-byte', 'root'],
      ['delete-entry', 'gap'],
      ['close-gap', 'root'],
      ['swap-entries', 'root'],
      ['cut-tail', 'rollback'],
      ['restore-backup', 'fork'],
      ['fork', 'fork'],
      ['unannounced-key', 'key'],
      ['announced-key', 'key'],
      ['rewrite', 'fork'],
    ] as const)
      assert.ok(
        kindsOf(report, name).some((one) => one === kind || one === 'fork'),
        `${name}: ${kindsOf(report, name)}`,
      )
  }
  assert.deepEqual(lines, before)
})

test('what only a cosignature can show is no success without an auditor', async () => {
  const log = forty(false)
  const except = Object.fromEntries(
    tamperings.filter(({ needsAuditor }) => needsAuditor).map(({ name }) => [name, 'no-auditor']),
  )
  assert.deepEqual(Object.keys(except), ['cut-tail', 'restore-backup', 'fork', 'rewrite'])
  const report = await drill(log.export(), unanchored)
  assert.deepEqual(outcomes(report), all('found', except))
  // Who knows the log's keys from elsewhere sees at least that others signed it.
  const keys = await drill(log.export(), { keys: log.logKeys, since: null })
  assert.deepEqual(outcomes(keys), all('found', { ...except, rewrite: 'found' }))
  // And who has an earlier checkpoint finds everything.
  const held = await drill(log.export(), { keys: [], since: log.notes[4] ?? null })
  assert.deepEqual(outcomes(held), all('found'))
})

test('entries that no checkpoint is over yet neither hinder a drill nor pass for something found', async () => {
  const log = forty(true)
  log.append()
  assert.deepEqual(outcomes(await drill(log.export(), unanchored)), all('found'))
  const alone = forty(false)
  alone.append()
  const report = await drill(alone.export(), unanchored)
  assert.equal(outcomes(report)['cut-tail'], 'no-auditor')
  assert.equal(outcomes(report).fork, 'no-auditor')
  assert.ok(report.holds)
})

test('nothing is tried on a log with which something is wrong already', async () => {
  const log = forty(true)
  const lines = log.export()
  const since = log.checkpoint({ size: 99 })
  const rolledBack = await drill(lines, { keys: [], since })
  assert.deepEqual([rolledBack.holds, rolledBack.results, rolledBack.log.complete], [false, [], false])
  const report = await drill(lines.toSpliced(7, 1), unanchored)
  assert.deepEqual([report.holds, report.results, report.log.intact], [false, [], false])
  assert.deepEqual((await drill([], unanchored)).holds, false)
})

test('a log that is too short for a way of tampering is not said to withstand it', async () => {
  const log = new TestAuditLog()
  log.rotate()
  log.checkpoint({ cosignedS: 1 })
  const report = await drill(log.export(), unanchored)
  const tried = { 'unannounced-key': 'found', 'announced-key': 'found' }
  assert.deepEqual(outcomes(report), all('not-tried', tried))
})

test('a log of any small size is tampered with in every way that it is long enough for, and it is found', async () => {
  for (let size = 2; size <= 9; size += 1) {
    const log = new TestAuditLog()
    log.rotate()
    while (log.size < size) {
      log.append('session.started', { n: log.size })
      if (log.size % 3 === 0) log.checkpoint({ cosignedS: 1 })
    }
    log.checkpoint({ cosignedS: 2 })
    const report = await drill(log.export(), unanchored)
    assert.ok(report.holds)
    for (const { name, outcome } of report.results)
      assert.ok(outcome === 'found' || outcome === 'not-tried', `${size}: ${name}`)
    assert.deepEqual(outcomes(report), all('found', size === 2 ? { 'swap-entries': 'not-tried' } : {}), String(size))
  }
})
