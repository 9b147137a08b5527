// The audit log's promises, on both real engines, with real processes.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { type AuditEvent, encodeAuditEntry, maxAuditEntryBytes } from '@teleclaude/core/audit.ts'
import type { StoredAuditEntry } from './audit-contract.ts'
import type { Store, StoreTarget } from './contract.ts'
import { listenForAudit, migrate, openStore } from './open.ts'
import {
  ending,
  engineNames,
  firstLine,
  isStoreError,
  queryRows,
  spawnScript,
  startEngine,
  type TestEngine,
} from './test-engines.ts'
import { maxEpoch } from './values.ts'

const host = 'build-box'
const atUs = 1_769_853_600_000_001

function denial(detail: AuditEvent['detail'] = {}): AuditEvent {
  const actor = { kind: 'caller', person: 'alice', osUser: 'alice', uid: 1000, pid: 4242 } as const
  return { action: 'request.denied', actor, session: null, detail }
}

async function readAll(store: Store, of = host): Promise<readonly StoredAuditEntry[]> {
  const entries: StoredAuditEntry[] = []
  for (;;) {
    const more = await store.audit.read(of, { afterSeq: entries.at(-1)?.seq ?? 0, limit: 1000 })
    if (more.length === 0) return entries
    entries.push(...more)
  }
}

/** Fails unless the numbers are 1, 2, 3 ... */
function assertGapFree(entries: readonly StoredAuditEntry[]): void {
  assert.deepEqual(
    entries.map(({ seq }) => seq),
    entries.map((_, index) => index + 1),
  )
}

/** Prints a line for each append that was acknowledged: who it was of, its count, its number. */
const appendingScript = `
  import { openStore } from './open.ts'
  const { target, host, appenders, appends, name } = JSON.parse(process.argv[1])
  const store = await openStore(target)
  const actor = { kind: 'service', name: 'api' }
  async function append(appender) {
    for (let count = 1; count <= appends; count++) {
      const event = { action: 'session.started', actor, session: null, detail: { appender, count } }
      const seq = await store.audit.append(host, [event], Date.now() * 1000)
      process.stdout.write(appender + ' ' + count + ' ' + seq + '\\n')
    }
  }
  await Promise.all(Array.from({ length: appenders }, (_, index) => append(name + index)))
  await store.close()`

type Appending = {
  readonly target: StoreTarget
  readonly host: string
  readonly name: string
  readonly appenders: number
  readonly appends: number
}
const spawnAppenders = (options: Appending) => spawnScript(appendingScript, JSON.stringify(options))

for (const engineName of engineNames) {
  describe(`the audit log on ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    test('an entry is kept as exactly the bytes it is encoded to', async () => {
      const { store } = await engine.createStore()
      const event: AuditEvent = {
        action: 'session.started',
        actor: { kind: 'caller', person: null, osUser: 'Zoë 🌍', uid: 4_294_967_294, pid: 0 },
        session: { id: 'a-session', owner: 'bob' },
        detail: { b: 'NUL \0, LF \n and ESC \u001b', a: Number.MAX_SAFE_INTEGER, ü: null, yes: true },
      }
      assert.equal(await store.audit.headSeq(host), 0)
      assert.deepEqual(await readAll(store), [])
      assert.equal(await store.audit.append(host, [event], atUs), 1)
      assert.equal(await store.audit.append(host, [denial(), event], 0), 3)
      assert.equal(await store.audit.headSeq(host), 3)
      assert.deepEqual(
        (await readAll(store)).map(({ seq, bytes }) => ({ seq, bytes: Buffer.from(bytes) })),
        [
          { seq: 1, bytes: encodeAuditEntry({ ...event, host, epoch: 0, seq: 1, atUs }) },
          { seq: 2, bytes: encodeAuditEntry({ ...denial(), host, epoch: 0, seq: 2, atUs: 0 }) },
          { seq: 3, bytes: encodeAuditEntry({ ...event, host, epoch: 0, seq: 3, atUs: 0 }) },
        ],
      )
    })

    test('each host has a log of its own', async () => {
      const { store } = await engine.createStore()
      const long = 'x'.repeat(253)
      const seqs = await Promise.all(['one', 'two', long, 'one'].map((of) => store.audit.append(of, [denial()], atUs)))
      assert.deepEqual(seqs, [1, 1, 1, 2])
      assert.equal((await readAll(store, 'one')).length, 2)
      assert.equal((await readAll(store, long)).length, 1)
      await assert.rejects(store.audit.append('a\0b', [denial()], atUs), RangeError)
    })

    test('sixteen appenders in two processes leave no gap, and a reader never sees an entry before those it follows', async () => {
      const { store, target } = await engine.createStore()
      const children = ['a', 'b'].map((name) => spawnAppenders({ target, host, name, appenders: 8, appends: 20 }))
      const acknowledged = new Map<number, string>()
      const printed = children.map(async ({ stdout }) => {
        for await (const line of createInterface({ input: stdout ?? process.stdin })) {
          const [appender, count, seq] = line.split(' ')
          assert.ok(!acknowledged.has(Number(seq)), `two callers were told ${seq}`)
          acknowledged.set(Number(seq), `${appender} ${count}`)
        }
      })
      const seen: StoredAuditEntry[] = []
      while (seen.length < 320) {
        const more = await store.audit.read(host, { afterSeq: seen.length, limit: 1000 })
        seen.push(...more)
        assertGapFree(seen)
      }
      assert.deepEqual(await Promise.all(children.map(ending)), [0, 0])
      await Promise.all(printed)
      assert.equal(await store.audit.headSeq(host), 320)
      const counts = new Map<string, number>()
      for (const { seq, bytes } of seen) {
        const { appender, count } = JSON.parse(Buffer.from(bytes).toString()).detail
        assert.equal(acknowledged.get(seq), `${appender} ${count}`)
        assert.equal(count, (counts.get(appender) ?? 0) + 1, 'what one appender did stays in its order')
        counts.set(appender, count)
      }
    })

    test('kill -9 of an appender leaves no gap, and nothing that was acknowledged is missing', async () => {
      const { store, target } = await engine.createStore()
      for (const name of ['first', 'second', 'third']) {
        const child = spawnAppenders({ target, host, name, appenders: 4, appends: 1_000_000 })
        const [, , seq] = (await firstLine(child)).split(' ')
        child.kill('SIGKILL')
        assert.equal(await ending(child), 'SIGKILL')
        const next = await store.audit.append(host, [denial({ name })], atUs)
        assert.ok(next > Number(seq))
        const entries = await readAll(store)
        assertGapFree(entries)
        assert.equal(entries.length, next)
      }
    })

    test('an event that can not be recorded is refused, and fails nobody who asked at the same time', async () => {
      const { store } = await engine.createStore()
      const room = maxAuditEntryBytes - sizeOf({ text: '' })
      const outcomes = await Promise.allSettled([
        store.audit.append(host, [denial({ text: 'x'.repeat(room) })], atUs),
        store.audit.append(host, [denial(), denial({ text: 'x'.repeat(room + 1) })], atUs),
        store.audit.append(host, [denial({ text: '\ud800' })], atUs),
        store.audit.append(host, [denial()], atUs),
      ])
      assert.deepEqual(
        outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.reason.name)),
        [1, 'RangeError', 'RangeError', 2],
      )
      assertGapFree(await readAll(store))
    })

    test('a read is bounded by its limit and by some 4 MiB', async () => {
      const { store } = await engine.createStore()
      const text = 'x'.repeat(60_000)
      const event = denial({ text })
      await Promise.all(Array.from({ length: 100 }, () => store.audit.append(host, [event], atUs)))
      assert.equal((await store.audit.read(host, { afterSeq: 3, limit: 7 })).length, 7)
      const some = await store.audit.read(host, { afterSeq: 0, limit: 1000 })
      const bytes = some.reduce((sum, entry) => sum + entry.bytes.length, 0)
      assert.ok(bytes >= 4 * 1024 * 1024 && bytes < 4 * 1024 * 1024 + 65_536, `${bytes} bytes`)
      assert.equal((await readAll(store)).length, 100)
    })

    test('a cursor goes forward only', async () => {
      const { store } = await engine.createStore()
      assert.equal(await store.audit.readCursor(host, 'file'), 0)
      for (const seq of [5, 3, 8, 8, 0]) await store.audit.moveCursor(host, 'file', seq)
      await store.audit.moveCursor(host, 'other', 1)
      assert.equal(await store.audit.readCursor(host, 'file'), 8)
      assert.equal(await store.audit.readCursor(host, 'other'), 1)
      assert.equal(await store.audit.readCursor('elsewhere', 'file'), 0)
    })

    test('nobody changes or takes away an entry, not even who owns the tables', async () => {
      const { store, target } = await engine.createStore()
      await store.audit.append(host, [denial(), denial()], atUs)
      const before = await readAll(store)
      const statements = [
        'UPDATE audit_entries SET seq = 7 WHERE seq = 2',
        'DELETE FROM audit_entries',
        engineName === 'postgres'
          ? 'TRUNCATE audit_entries CASCADE'
          : `REPLACE INTO audit_entries (host, seq, at, entry) VALUES ('${host}', 1, 0, x'7b7d')`,
        engineName === 'postgres'
          ? `INSERT INTO audit_entries VALUES ('${host}', 1, now(), '{}') ON CONFLICT (host, seq) DO UPDATE SET entry = '{}'`
          : `INSERT INTO audit_entries (host, seq, at, entry) VALUES ('${host}', 1, 0, x'7b7d') ON CONFLICT (host, seq) DO UPDATE SET entry = x'7b7d'`,
      ]
      for (const statement of statements) {
        await assert.rejects(
          queryRows(target, statement),
          /audit entries: the audit log is only ever added to/,
          statement,
        )
      }
      assert.deepEqual(await readAll(store), before)
    })

    test('trying to tamper finds nothing in a healthy database, while others append, and leaves nothing behind', async () => {
      const { store, target } = await engine.createStore()
      const heard = hearHints()
      const listening = await listenForAudit(target, host, heard.listener)
      if (engineName === 'postgres') for (const event of ['listening', 'hint']) await heard.next(event)
      assert.deepEqual(await store.audit.tryTampering(host), [])
      assert.equal(await store.audit.headSeq(host), 0)
      assert.equal(heard.waiting(), 0)
      const [tried] = await Promise.all([
        Promise.all(Array.from({ length: 5 }, () => store.audit.tryTampering(host))),
        Promise.all(Array.from({ length: 50 }, (_, count) => store.audit.append(host, [denial({ count })], atUs))),
      ])
      assert.deepEqual(tried.flat(), [])
      assert.equal((await readAll(store)).length, 50)
      assertGapFree(await readAll(store))
      await listening.close()
    })

    test('where the trigger is gone, trying to tamper says what is let through, and still changes nothing', async () => {
      const { store, target } = await engine.createStore()
      await store.audit.append(host, [denial()], atUs)
      const drops =
        engineName === 'postgres'
          ? ['DROP TRIGGER audit_entries_stay ON audit_entries']
          : ['DROP TRIGGER audit_entries_stay', 'DROP TRIGGER audit_entries_stay_unchanged']
      for (const drop of drops) {
        assert.deepEqual(await store.audit.tryTampering(host), drop === drops[0] ? [] : ['delete'])
        await queryRows(target, drop)
      }
      const all = engineName === 'postgres' ? ['update', 'delete', 'truncate'] : ['update', 'delete']
      assert.deepEqual(await store.audit.tryTampering(host), all)
      assert.deepEqual(
        (await readAll(store)).map(({ bytes }) => Buffer.from(bytes)),
        [encodeAuditEntry({ ...denial(), host, epoch: 0, seq: 1, atUs })],
      )
      assert.equal(await store.audit.append(host, [denial()], atUs), 2)
    })
  })
}

/** Of the denial under the greatest number there is: an entry has to fit whatever its number will be. */
function sizeOf(detail: AuditEvent['detail']): number {
  return encodeAuditEntry({ ...denial(detail), host, epoch: maxEpoch, seq: Number.MAX_SAFE_INTEGER, atUs }).length
}

describe('the audit log in PostgreSQL', () => {
  let engine: TestEngine
  before(async () => {
    engine = await startEngine('postgres')
  })
  after(() => engine.stop())

  test('hints reach who listens for that host, and come again when the connection was cut', async () => {
    const { store, target } = await engine.createStore()
    const events = hearHints()
    const listening = await listenForAudit(target, host, events.listener)
    await events.next('listening')
    await events.next('hint')
    await store.audit.append('elsewhere', [denial()], atUs)
    await store.audit.append(host, [denial()], atUs)
    await events.next('hint')
    assert.equal(events.waiting(), 0, 'of the other host nothing was heard')
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'teleclaude audit hints%'
      AND datname = current_database()`
    await queryRows(target, cut)
    for (const event of ['not listening', 'listening', 'hint']) await events.next(event)
    await store.audit.append(host, [denial()], atUs)
    await events.next('hint')
    await listening.close()
  })

  test('the rights of the api and of the auditor are enough for what they do, and for nothing else', async () => {
    const target = await engine.createTarget()
    await migrate(target)
    const roles = { api: `api_${randomBytes(4).toString('hex')}`, auditor: `auditor_${randomBytes(4).toString('hex')}` }
    const grants = [
      ...Object.values(roles).flatMap((role) => [
        `CREATE ROLE ${role} LOGIN PASSWORD 'test'`,
        `GRANT SELECT ON teleclaude_migrations TO ${role}`,
      ]),
      `GRANT SELECT, INSERT ON audit_entries, audit_subtrees, audit_texts TO ${roles.api}`,
      `GRANT SELECT, INSERT, UPDATE ON audit_heads TO ${roles.api}`,
      `GRANT SELECT ON audit_entries, audit_heads TO ${roles.auditor}`,
      `GRANT SELECT, INSERT, UPDATE ON auditor_cursors TO ${roles.auditor}`,
    ]
    for (const grant of grants) await queryRows(target, grant)
    const api = await openStore(asRole(target, roles.api))
    const auditor = await openStore(asRole(target, roles.auditor))
    try {
      assert.equal(await api.audit.append(host, [denial(), denial()], atUs), 2)
      assert.deepEqual(await api.audit.tryTampering(host), [])
      assert.equal((await readAll(auditor)).length, 2)
      assert.equal(await auditor.audit.headSeq(host), 2)
      await auditor.audit.moveCursor(host, 'file', 2)
      assert.equal(await auditor.audit.readCursor(host, 'file'), 2)
      await assert.rejects(auditor.audit.append(host, [denial()], atUs), isStoreError('not-writable', /42501/))
      await assert.rejects(api.audit.moveCursor(host, 'file', 1), isStoreError('not-writable', /42501/))
      await queryRows(target, 'DROP TRIGGER audit_entries_stay ON audit_entries')
      assert.deepEqual(await api.audit.tryTampering(host), [], 'the role has no right to it either')
      await queryRows(target, `GRANT DELETE ON audit_entries TO ${roles.api}`)
      assert.deepEqual(await api.audit.tryTampering(host), ['delete'])
    } finally {
      await api.close()
      await auditor.close()
      for (const role of Object.values(roles)) {
        await queryRows(target, `DROP OWNED BY ${role}`)
        await queryRows(target, `DROP ROLE ${role}`)
      }
    }
  })
})

function asRole(target: StoreTarget, role: string): StoreTarget {
  if (target.engine !== 'postgres') throw new TypeError('cannot be somebody in SQLite')
  const url = new URL(target.url)
  url.username = role
  url.password = 'test'
  return { engine: 'postgres', url: url.href }
}

/** What a listener hears, one after the other. */
function hearHints() {
  const heard: string[] = []
  let waiting = Promise.withResolvers<void>()
  const hear = (event: string) => {
    heard.push(event)
    waiting.resolve()
  }
  return {
    listener: {
      onHint: () => hear('hint'),
      onState: (state: { readonly listening: boolean }) => hear(state.listening ? 'listening' : 'not listening'),
    },
    waiting: () => heard.length,
    async next(expected: string) {
      if (heard.length === 0) {
        waiting = Promise.withResolvers<void>()
        await waiting.promise
      }
      assert.equal(heard.shift(), expected)
    },
  }
}
