// Migration 0004_command_numbers on databases with commands in them, on both real engines.

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

const name = '0004_command_numbers'

const older = await migrationsBefore(name)

const ids = ['b', 'a', 'c'].map((digit) => `${digit.repeat(8)}-0000-4000-8000-000000000000` as SessionId)
const [busy, quiet, idle] = ids
const maxTime = Number.MAX_SAFE_INTEGER
const createdAtUs = 1_769_853_600_000_001

const kept = ['session_id', 'kind', 'force', 'requested_by', 'state', 'reason']
const times = ['created_at', 'expires_at', 'delivered_at', 'finished_at']
// As text, which no driver rounds.
const columns = [...kept, ...times].map((column) => `CAST(${column} AS text) AS ${column}`).join(', ')

for (const engineName of engineNames) {
  describe(`numbering the commands of ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    const time = (us: number | null) => {
      if (us === null) return 'NULL'
      return engineName === 'sqlite' ? String(us) : `'${formatInstant(us)}'`
    }
    const isTrue = engineName === 'sqlite' ? '1' : 'true'
    const beyond = engineName === 'sqlite' ? '9007199254740992' : "'2255-06-05T23:47:34.740992Z'"
    const early = engineName === 'sqlite' ? '-1' : "'1969-12-31T23:59:59.999999Z'"

    /** Sessions whose commands were given in turn, some taken back, one touched after the others. */
    async function createOlder(): Promise<StoreTarget> {
      const target = await engine.createTarget()
      await migrate(target, { directory: older })
      const argv = engineName === 'sqlite' ? '["x"]' : '{x}'
      for (const id of ids)
        await queryRows(
          target,
          `INSERT INTO sessions (id, host, owner_person, owner_uid, owner_os_user, project, title, argv,
             terminal_cols, terminal_rows, created_at)
           VALUES ('${id}', 'h', 'alice', 1000, 'alice', '/p', 't', '${argv}', 80, 24, ${time(createdAtUs)})`,
        )
      const insert = (of: SessionId | undefined, state: string, delivered: number | null, finished: number | null) =>
        queryRows(
          target,
          `INSERT INTO commands (session_id, kind, force, requested_by, state, reason,
             created_at, expires_at, delivered_at, finished_at)
           VALUES ('${of}', 'stop', ${state === 'done' ? isTrue : `NOT ${isTrue}`}, 'Zoë', '${state}',
             ${state === 'failed' ? "'it''s deaf'" : 'NULL'},
             ${time(createdAtUs)}, ${time(maxTime)}, ${time(delivered)}, ${time(finished)})`,
        )
      for (let round = 0; round < 3; round += 1) {
        await insert(busy, 'done', 1, maxTime)
        await insert(quiet, 'expired', null, createdAtUs + 3)
        await insert(busy, 'failed', createdAtUs + 1, createdAtUs + 2)
        await insert(busy, 'delivered', createdAtUs + 5, null)
        await insert(quiet, 'queued', null, null)
        await insert(busy, 'queued', null, null)
      }
      await queryRows(target, 'DELETE FROM commands WHERE id IN (1, 9)')
      await queryRows(target, "UPDATE commands SET requested_by = 'bob' WHERE id = 3")
      return target
    }

    const readBefore = (target: StoreTarget) =>
      queryRows(target, `SELECT ${columns} FROM commands ORDER BY session_id, commands.id`)
    const readAfter = (target: StoreTarget) =>
      queryRows(target, `SELECT ${columns} FROM commands ORDER BY session_id, commands.number`)

    test('everything of a command is kept, and each session counts its own from 1, in their order', async () => {
      const target = await createOlder()
      const rows = await readBefore(target)
      assert.equal(rows.length, 16)
      assert.ok((await migrate(target)).applied.includes(name))
      assert.deepEqual(await readAfter(target), rows)
      const numbers = await queryRows(
        target,
        'SELECT CAST(session_id AS text) AS id, CAST(number AS text) AS number FROM commands ORDER BY session_id, commands.number',
      )
      const expected = [
        { id: quiet, count: 6 },
        { id: busy, count: 10 },
      ].flatMap(({ id, count }) => Array.from({ length: count }, (_, index) => ({ id, number: String(index + 1) })))
      assert.deepEqual(numbers, expected)
    })

    test('afterwards sessions go on where they were', async () => {
      const target = await createOlder()
      await migrate(target)
      const store = await openStore(target)
      assert.ok(busy && quiet && idle)
      const [, second] = (await store.commands.list(busy, 100)).toReversed()
      assert.deepEqual(second, {
        sessionId: busy,
        number: 2,
        kind: 'stop',
        force: false,
        text: null,
        enter: false,
        requestedBy: 'Zoë',
        state: 'delivered',
        reason: null,
        createdAtUs,
        expiresAtUs: maxTime,
        finishedAtUs: null,
      })
      assert.equal((await store.commands.take(busy, createdAtUs))?.number, 3)
      assert.equal(await store.commands.finish(busy, 3, { state: 'done', reason: null, atUs: createdAtUs }), true)
      const request = { kind: 'stop', force: false } as const
      const again = { request, requestedBy: 'alice', createdAtUs, expiresAtUs: maxTime }
      for (const [sessionId, number] of [
        [busy, 11],
        [quiet, 7],
        [idle, 1],
      ] as const)
        assert.equal((await store.commands.enqueue({ ...again, sessionId })).number, number)
      await assert.rejects(store.commands.enqueue({ ...again, sessionId: newSession().id }), /foreign key|FOREIGN KEY/)
      await store.close()
    })

    test('what a command could not be before it can not be afterwards', async () => {
      const target = await createOlder()
      const refused = async () => {
        for (const change of [
          "session_id = '00000000-0000-4000-8000-000000000000'",
          "kind = 'dance'",
          "state = 'lost'",
          "state = 'queued'",
          "state = 'done'",
          'delivered_at = NULL',
          `finished_at = ${time(createdAtUs)}`,
          ...['created_at', 'expires_at', 'delivered_at'].flatMap((column) => [
            `${column} = ${early}`,
            `${column} = ${beyond}`,
          ]),
          ...[early, beyond].map((never) => `state = 'done', finished_at = ${never}`),
          ...['session_id', 'kind', 'force', 'requested_by', 'state', 'created_at', 'expires_at'].map(
            (column) => `${column} = NULL`,
          ),
          ...(engineName === 'sqlite' ? ['force = 2'] : []),
        ]) {
          const update = `UPDATE commands SET ${change} WHERE state = 'delivered'`
          await assert.rejects(queryRows(target, update), /constraint/, change)
        }
      }
      await refused()
      await migrate(target)
      await refused()
      for (const number of ['0', '-1', '9007199254740992', 'NULL', '1']) {
        const update = `UPDATE commands SET number = ${number} WHERE session_id = '${busy}' AND number = 2`
        await assert.rejects(queryRows(target, update), /constraint/, number)
      }
    })

    test('kill -9 before the commit leaves every command as it was, and running again numbers them', async () => {
      const target = await createOlder()
      const rows = await readBefore(target)
      assert.equal(await ending(spawnScript(killedScript, JSON.stringify({ target, name }))), 'SIGKILL')
      assert.deepEqual(await readBefore(target), rows)
      assert.deepEqual((await migrate(target)).applied.slice(0, 1), [name])
      assert.deepEqual(await readAfter(target), rows)
    })
  })
}
