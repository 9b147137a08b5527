// Several sinks beside one another: each has a way of its own through the log, and gets what was checked, whatever the others do.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { Secret } from '@teleclaude/config/secret.ts'
import type { SinkConfig } from '@teleclaude/config/sinks.ts'
import { startPostgres, type TestPostgres } from '../../test/support/postgres-server.ts'
import { acceptLog } from './accept.ts'
import { AuditAlarm } from './alarm.ts'
import { listAllParked } from './parked.ts'
import { retryOnce } from './retry.ts'
import { runAuditor } from './run.ts'
import { fileSinkOf } from './sinks.ts'
import { readState } from './state.ts'
import { readStatus } from './status.ts'
import { SignedLog } from './test-log.ts'
import { answerWith, HttpReceiver, type Received } from './test-receivers.ts'
import { host, Site } from './test-site.ts'
import { verifyLog } from './verify.ts'

const file = { name: 'file', format: 'native', kind: 'file', maxBytes: 1e9, keepFiles: null } as const

describe('sinks', () => {
  let server: TestPostgres
  let site: Site
  let log: SignedLog
  let receiver: HttpReceiver
  let hook: SinkConfig
  before(async () => {
    server = await startPostgres({ own: true })
  })
  after(() => server.stop())
  beforeEach(async () => {
    site = await Site.make(server)
    log = await SignedLog.make(site)
    receiver = await HttpReceiver.start(null)
    const secret = new Secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
    hook = { name: 'hook', format: 'native', kind: 'webhook', url: receiver.url, secret, caFile: null }
    site.sinks = [file, hook]
  })
  afterEach(async () => {
    await receiver[Symbol.asyncDispose]()
    await site[Symbol.asyncDispose]()
  })

  function seqsOf({ body }: Received): number[] {
    const { entries } = JSON.parse(body).data
    return entries.map(({ seq }: { seq: number }) => seq)
  }

  /** Each that it was sent, at least once. */
  function taken(): number[] {
    return [...new Set(receiver.received.flatMap(seqsOf))].toSorted((one, other) => one - other)
  }

  const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)

  async function verify() {
    const { directory, sinks } = site.options()
    const state = await readState(directory, host)
    return verifyLog({ store: site.store, host, directory, state, key: null, files: fileSinkOf(sinks) })
  }

  test('an entry that one of them will not take is parked; all others arrive, and it does when it is taken', async () => {
    await log.append(9)
    const isPoison = (received: Received) => seqsOf(received).includes(6)
    receiver.answering = (response, received) => answerWith(isPoison(received) ? 422 : 200, 'odd')(response, received)
    assert.equal(await site.shipOnce(), 20)
    const parked = await Array.fromAsync(listAllParked(site.store, host, null))
    assert.deepEqual(
      parked.map(({ sink, seq, reason, attempts }) => [sink, seq, reason, attempts]),
      [['hook', 6, 'HTTP 422: odd', 1]],
    )
    const before = await readStatus(site.options())
    assert.deepEqual(
      before.sinks.map(({ name, shipped, completeThrough, parked: count }) => [name, shipped, completeThrough, count]),
      [
        ['file', 10, 10, 0],
        ['hook', 10, 5, 1],
      ],
    )
    assert.equal(before.exposureSeconds, 0, 'the file has it')
    assert.match(before.problems.join(), /the sink hook would not take 1 entries: auditor parked/)
    const again = await retryOnce(site.options(), {})
    assert.deepEqual([again.tried, again.taken, again.refused], [1, 0, 1])
    receiver.answering = answerWith(200)
    assert.equal((await retryOnce(site.options(), { seqs: [7] })).tried, 0)
    const last = await retryOnce(site.options(), { sink: 'hook', seqs: [6] })
    assert.deepEqual([last.tried, last.taken, last.failures], [1, 1, []])
    assert.deepEqual(await Array.fromAsync(listAllParked(site.store, host, null)), [])
    assert.deepEqual(taken(), upTo(10))
  })

  test('one that hangs, drops or fails stops neither the others nor the cosigning, and gets all when it is back', async () => {
    const stop = new AbortController()
    const hanging = Promise.withResolvers<void>()
    receiver.answering = () => hanging.resolve()
    const running = runAuditor(site.options(), stop.signal)
    await hanging.promise
    await log.append(20)
    await log.sign()
    const lines = () => (site.size() === 0 ? 0 : site.text().split('\n').length - 1)
    await site.until(() => lines() === 21)
    while ((await site.store.audit.findCheckpoint(host, 'cosigned'))?.size !== 21);
    const failing = Promise.withResolvers<void>()
    let failures = 0
    receiver.answering = (response, received) => {
      failures += 1
      if (failures === 3) failing.resolve()
      if (failures % 2 === 1) response.destroy()
      else answerWith(503)(response, received)
    }
    // What hangs is over at once: the receiver goes away.
    receiver.dropConnections()
    await failing.promise
    const status = await readStatus(site.options())
    assert.deepEqual(
      status.sinks.map(({ name, shipped }) => [name, shipped]),
      [
        ['file', 21],
        ['hook', 0],
      ],
    )
    assert.equal(status.state, 'waiting')
    assert.match(
      status.problems.join(),
      /cannot ship to the sink hook: (HTTP 503|socket hang up|read ECONNRESET); it is tried again/,
    )
    const all = Promise.withResolvers<void>()
    receiver.received.length = 0
    receiver.answering = (response, received) => {
      answerWith(200)(response, received)
      if (taken().length === 21) all.resolve()
    }
    await all.promise
    assert.deepEqual(taken(), upTo(21))
    // It has to have heard the answer, and written that down.
    while ((await site.store.audit.readCursor(host, 'hook')) !== 21);
    stop.abort()
    await running
  })

  test('one that comes later gets everything from the beginning, shown to be what was seen', async () => {
    site.sinks = [file]
    await log.append(699)
    await site.shipOnce()
    site.sinks = [file, hook]
    await site.shipOnce()
    assert.deepEqual(taken(), upTo(700))
    site.sinks = [file, hook, { ...hook, name: 'late' }]
    receiver.received.length = 0
    await log.tamper(
      `UPDATE audit_entries SET entry = convert_to(replace(convert_from(entry, 'UTF8'), '"count":', '"count":1'), 'UTF8') WHERE seq = 600`,
    )
    await assert.rejects(site.shipOnce(), (error) => error instanceof AuditAlarm && error.kind === 'fork')
    assert.deepEqual(taken(), [], 'the database can show nothing any more')
  })

  test('after a log was accepted in the place of another, sinks get what is new to them', async () => {
    await log.append(3)
    const restore = await log.backUp()
    await log.append(3)
    await site.shipOnce()
    await restore()
    // A backup of the log alone: cursors are as they were.
    await site.store.audit.moveCursor(host, 'hook', 7)
    await log.append(4)
    await assert.rejects(site.shipOnce(), AuditAlarm)
    await acceptLog(site.options(), 'restored')
    receiver.received.length = 0
    await site.shipOnce()
    assert.deepEqual(taken(), [5, 6, 7, 8], 'the first four are those of before')
    assert.equal((await verify()).holds, true)
    receiver.received.length = 0
    await log.append(1)
    await site.shipOnce()
    assert.deepEqual(taken(), [9])
  })

  test('files are closed at their size, follow one another, and are verified together', async () => {
    site.sinks = [{ ...file, maxBytes: 2000 }]
    for (let round = 0; round < 12; round++) {
      await log.append(5)
      await site.shipOnce()
    }
    const names = readdirSync(site.directory).filter((name) => name.startsWith('audit'))
    assert.ok(names.length > 4)
    const inOrder = names.filter((name) => name.endsWith('.jsonl')).toSorted()
    const seqs = inOrder.flatMap((name) =>
      readFileSync(join(site.directory, name), 'utf8')
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line).seq),
    )
    assert.deepEqual(seqs, upTo(61), 'by their names, in order')
    const found = await verify()
    assert.deepEqual([found.holds, found.same], [true, 61])
    const first = inOrder[1] ?? ''
    renameSync(join(site.directory, first), join(site.directory, 'elsewhere'))
    assert.match((await verify()).faults.join('\n'), /in the database and not in the files: entries/)
    renameSync(join(site.directory, 'elsewhere'), join(site.directory, first))
    // Killed between closing a file and beginning another one.
    if (statSync(site.file, { throwIfNoEntry: false })?.size === 0) rmSync(site.file)
    await log.append(2)
    await site.shipOnce()
    assert.deepEqual([(await verify()).holds, (await readStatus(site.options())).fileEntry], [true, 63])
  })

  test('no file is taken away before the other sinks have what is in it', async () => {
    site.sinks = [{ ...file, maxBytes: 1000, keepFiles: 2 }, hook]
    receiver.answering = answerWith(500)
    for (let round = 0; round < 8; round++) {
      await log.append(5)
      await assert.rejects(site.shipOnce(), /HTTP 500/)
    }
    const closed = () => readdirSync(site.directory).filter((name) => name.startsWith('audit-')).length
    assert.equal(closed(), 4)
    receiver.answering = answerWith(200)
    await site.shipOnce()
    assert.equal(closed(), 2)
    assert.equal((await verify()).holds, true)
    assert.deepEqual(taken(), upTo(41))
  })
})
