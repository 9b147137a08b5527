// Migration 0005_surviving_sessions on databases with sessions, chunks and commands in them, on both real engines.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { formatInstant } from '@teleclaude/core/instant.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import type { StoreTarget } from './contract.ts'
import { migrate, openStore } from './open.ts'
import {
  ending,
  engineNames,
  newSession,
  queryRows,
  spawnScript,
  startEngine,
  type TestEngine,
} from './test-engines.ts'
import { killedScript, migrationsBefore } from './test-migrations.ts'

const name = '0005_surviving_sessions'

const older = await migrationsBefore(name)

const idOf = (digit: string) => `${digit.repeat(8)}-0000-4000-8000-000000000000` as SessionId
const [running, lost, ended] = [idOf('b'), idOf('a'), idOf('c')]
const maxTime = Number.MAX_SAFE_INTEGER
const createdAtUs = 1_769_853_600_000_001

/** All columns of before, as text, which no driver rounds. */
const tables = {
  sessions:
    'id ordinal host owner_person owner_uid owner_os_user project agent title terminal_cols terminal_rows status exit_code exit_signal created_at started_at ended_at last_output_at last_chunk_seq transcript_bytes',
  transcript_chunks: 'session_id seq kind offset_us codec raw_length',
  commands: 'session_id number kind force requested_by state reason created_at expires_at delivered_at finished_at',
} as const

for (const engineName of engineNames) {
  describe(`making room for surviving sessions in ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    const isSqlite = engineName === 'sqlite'
    const time = (us: number | null) => {
      if (us === null) return 'NULL'
      return isSqlite ? String(us) : `'${formatInstant(us)}'`
    }
    const bytes = (hex: string) => (isSqlite ? `x'${hex}'` : String.raw`'\x${hex}'`)
    const [yes, no] = isSqlite ? ['1', '0'] : ['true', 'false']

    async function createOlder(): Promise<StoreTarget> {
      const target = await engine.createTarget()
      await migrate(target, { directory: older })
      const insertSession = (id: SessionId, status: string, signal: string | null, endedAtUs: number | null) =>
        queryRows(
          target,
          `INSERT INTO sessions (id, host, owner_person, owner_uid, owner_os_user, project, agent, title, argv,
             terminal_cols, terminal_rows, status, exit_signal, created_at, started_at, ended_at, last_output_at,
             last_chunk_seq, transcript_bytes)
           VALUES ('${id}', 'h', 'Zoë', 4294967294, 'zoe', '/p', NULL, 'it''s', '${isSqlite ? '["x","é"]' : '{x,é}'}', 80, 24,
             '${status}', ${signal === null ? 'NULL' : `'${signal}'`}, ${time(createdAtUs)}, ${time(createdAtUs + 1)},
             ${time(endedAtUs)}, ${time(maxTime)}, 3, 2)`,
        )
      await insertSession(running, 'running', null, null)
      await insertSession(lost, 'lost', null, createdAtUs + 2)
      await insertSession(ended, 'ended', 'SIGKILL', maxTime)
      for (const id of [ended, running])
        for (const [index, kind] of ['resize', 'output', 'exit'].entries())
          await queryRows(
            target,
            `INSERT INTO transcript_chunks (session_id, seq, kind, offset_us, codec, raw_length, bytes)
             VALUES ('${id}', ${index + 1}, '${kind}', ${maxTime - index}, 'raw', 2, ${bytes('00ff')})`,
          )
      const states = [
        ['done', 1, maxTime],
        ['failed', 2, 3],
        ['expired', null, 4],
        ['delivered', 5, null],
        ['queued', null, null],
      ] as const
      for (const [index, [state, delivered, finished]] of states.entries())
        await queryRows(
          target,
          `INSERT INTO commands (session_id, number, kind, force, requested_by, state, reason, created_at, expires_at,
             delivered_at, finished_at)
           VALUES ('${running}', ${index + 1}, 'stop', ${index % 2 === 0 ? yes : no}, 'Zoë', '${state}',
             ${state === 'failed' ? "'it''s deaf'" : 'NULL'}, ${time(createdAtUs)}, ${time(maxTime)}, ${time(delivered)},
             ${time(finished)})`,
        )
      return target
    }

    const readAll = async (target: StoreTarget) => {
      const rows: (readonly unknown[])[] = []
      for (const [table, names] of Object.entries(tables)) {
        const columns = names.split(' ').map((column) => `CAST(${column} AS text) AS ${column}`)
        if (table === 'sessions') columns.push('argv')
        if (table === 'transcript_chunks') columns.push('bytes')
        const order = names
          .split(' ')
          .slice(0, 2)
          .map((column) => `${table}.${column}`)
        rows.push(await queryRows(target, `SELECT ${columns.join(', ')} FROM ${table} ORDER BY ${order.join(', ')}`))
      }
      return rows
    }

    test('everything there was is kept', async () => {
      const target = await createOlder()
      const rows = await readAll(target)
      assert.deepEqual(
        rows.map(({ length }) => length),
        [3, 6, 5],
      )
      assert.deepEqual((await migrate(target)).applied.slice(0, 1), [name])
      assert.deepEqual(await readAll(target), rows)
    })

    test('what is new says nothing of them, and they go on', async () => {
      const target = await createOlder()
      await migrate(target)
      const store = await openStore(target)
      const found = await store.sessions.find(ended)
      assert.deepEqual(
        [found?.parentId, found?.transcriptRemovedAtUs, found?.agentStatus],
        [null, null, { state: 'unknown', source: null, sinceUs: null }],
      )
      assert.equal(await store.events.newest(), 0)
      const commands = await store.commands.list(running, 10)
      assert.deepEqual(
        commands.map(({ number, force, text, enter }) => [number, force, text, enter]),
        [5, 4, 3, 2, 1].map((number) => [number, number % 2 === 1, null, false]),
      )
      assert.equal((await store.commands.take(running, createdAtUs))?.number, 5)
      const request = { kind: 'send', text: 'on', enter: true } as const
      const times = { createdAtUs, expiresAtUs: maxTime }
      const enqueued = await store.commands.enqueue({ sessionId: running, request, requestedBy: 'Zoë', ...times })
      assert.equal(enqueued.number, 6)
      assert.equal(await store.commands.close(running, 'the session has ended', createdAtUs), 3)
      const removable = await store.transcripts.listRemovable('h', { endedBeforeUs: maxTime, limit: 10 })
      assert.deepEqual(
        removable.map(({ id }) => id),
        [lost],
      )
      for (const kind of ['driver', 'gap'] as const) {
        const seq = (await store.transcripts.lastSeq(running)) + 1
        const chunks = [{ seq, kind, offsetUs: 0, bytes: Buffer.from('null') }]
        await store.transcripts.append([{ sessionId: running, chunks, atUs: createdAtUs }])
      }
      await store.sessions.create(newSession({ parentId: running }))
      const [{ event, session } = { event: null, session: null }] = await store.events.read({
        scope: { kind: 'all' },
        afterOrdinal: 0,
        limit: 10,
      })
      assert.deepEqual([event?.kind, session?.parentId], ['created', running])
      await store.close()
    })

    test('the database itself refuses what can not be', async () => {
      const target = await createOlder()
      await migrate(target)
      const send = `kind = 'send', force = ${no}, text`
      for (const change of [
        "sessions SET agent_state = 'working' WHERE status = 'running'",
        `sessions SET agent_source = 'hook' WHERE status = 'running'`,
        `sessions SET agent_since = ${time(1)} WHERE status = 'running'`,
        `sessions SET agent_source = 'rumour', agent_since = ${time(1)} WHERE status = 'running'`,
        `sessions SET agent_state = 'asleep', agent_source = 'hook', agent_since = ${time(1)} WHERE status = 'running'`,
        `sessions SET agent_state = 'idle', agent_source = 'hook', agent_since = ${time(1)} WHERE status = 'ended'`,
        `sessions SET transcript_removed_at = ${time(1)} WHERE status = 'running'`,
        `sessions SET transcript_gone = ${yes} WHERE status = 'ended'`,
        "sessions SET parent_id = '00000000-0000-4000-8000-000000000000' WHERE status = 'running'",
        "transcript_chunks SET kind = 'dance'",
        "commands SET kind = 'dance'",
        "commands SET text = 'kept' WHERE state = 'queued'",
        `commands SET ${send} = NULL WHERE state = 'queued'`,
        `commands SET ${send} = 'kept' WHERE state = 'done'`,
        `commands SET ${send} = '${'x'.repeat(65_537)}' WHERE state = 'queued'`,
        `commands SET enter = ${yes}`,
        `commands SET kind = 'interrupt', force = ${yes}`,
        "commands SET delivered_at = NULL WHERE state = 'delivered'",
        `commands SET delivered_at = ${time(1)} WHERE state = 'expired'`,
      ])
        await assert.rejects(queryRows(target, `UPDATE ${change}`), /constraint/, change.slice(0, 200))
      const event = (values: string) =>
        queryRows(target, `INSERT INTO session_events (id, session_id, owner_person, kind, at) VALUES (${values})`)
      await event(`'${idOf('d')}', '${ended}', 'Zoë', 'ended', ${time(maxTime)}`)
      for (const values of [
        `'${idOf('d')}', '${ended}', 'Zoë', 'ended', ${time(1)}`,
        `'${idOf('e')}', '${idOf('f')}', 'Zoë', 'ended', ${time(1)}`,
        `'${idOf('e')}', '${ended}', 'Zoë', 'danced', ${time(1)}`,
        `'${idOf('e')}', '${ended}', NULL, 'ended', ${time(1)}`,
      ])
        await assert.rejects(event(values), /constraint/, values)
    })

    test('kill -9 before the commit leaves everything as it was, and running again is enough', async () => {
      const target = await createOlder()
      const rows = await readAll(target)
      assert.equal(await ending(spawnScript(killedScript, JSON.stringify({ target, name }))), 'SIGKILL')
      assert.deepEqual(await readAll(target), rows)
      await assert.rejects(queryRows(target, 'SELECT ordinal FROM session_events'))
      assert.deepEqual((await migrate(target)).applied.slice(0, 1), [name])
      assert.deepEqual(await readAll(target), rows)
    })
  })
}
