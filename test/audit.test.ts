// The audit log as one who has the machine for themselves uses it: the same log, kept, signed and verified with `telec`.

import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { singleUserLayout } from '@teleclaude/config/layout.ts'
import type { AuditPage } from '@teleclaude/core/audit-api.ts'
import { queryRows } from '@teleclaude/store/test-engines.ts'
import { engines, Installation } from './support/installation.ts'

const data = 65
const usage = 64

for (const engine of engines) {
  describe(`on ${engine}`, { timeout: 120_000 }, () => {
    let own: Installation
    before(async () => {
      own = await Installation.make(engine)
      await own.startDaemon()
    })
    after(() => own[Symbol.asyncDispose]())

    async function telec(...args: readonly string[]) {
      const { code, stdout, stderr } = await own.telec(args)
      return { code, stdout: stdout.toString('utf8'), stderr }
    }
    const path = (name: string) => join(own.home, name)

    test('one’s own viewing is not recorded; what is, is listed by what one asks for', async () => {
      const ran = await telec('run', '--', 'sh', '-c', 'echo up')
      assert.equal(ran.code, 0, ran.stderr)
      const [session] = await own.list(['--limit', '1'])
      assert.ok(session)
      await telec('transcript', session.id)
      const list = async (...args: readonly string[]) => {
        const { code, stdout, stderr } = await telec('audit', 'ls', '--json', ...args)
        assert.equal(code, 0, stderr)
        return (JSON.parse(stdout) as AuditPage).entries
      }
      const about = (await list('--session', session.id.slice(0, 8))).map(({ action }) => action)
      assert.deepEqual(about, ['session.ended', 'session.started'])
      const all = await list('--all')
      assert.deepEqual(
        all.map(({ seq }) => seq),
        all.map((_, index) => all.length - index),
      )
      assert.deepEqual(await list('--until', '1d'), [])
      assert.deepEqual((await list('--since', '1h', '--action', 'session.started')).length, 1)
      const some = await telec('audit', 'ls', '-n', '2')
      assert.match(some.stdout, /^SEQ +TIME.*\n.*\n.*\nThere are more: --all shows them\.\n$/)
      const wrong = await telec('audit', 'ls', '--since', 'yesterday')
      assert.equal(wrong.code, usage)
    })

    test('what is one’s own needs no reason, and there is nobody who could be told of it', async () => {
      const [session] = await own.list(['--limit', '1'])
      assert.ok(session)
      const ran = await telec('transcript', session.id, '--reason', 'none')
      assert.equal(ran.stdout, 'up\n')
      assert.equal(ran.stderr, 'The session is yours: it needs no reason.\n')
      const opened = await telec('access', 'open', session.id, '--reason', 'none')
      assert.equal(opened.code, data)
      assert.match(opened.stderr, /it is yours: no grant is needed/)
      assert.equal((await telec('access', 'ls')).stdout, 'Nobody opened anything.\n')
      assert.equal((await telec('notices')).stdout, 'Nobody else has done anything with your sessions.\n')
    })

    test('the log verifies, against what was kept of it before, also over a change of its key', async () => {
      for (const [name, words] of [
        ['keys', ['keys']],
        ['note', ['checkpoint']],
      ] as const) {
        const ran = await telec('audit', ...words)
        assert.equal(ran.code, 0, ran.stderr)
        writeFileSync(path(name), ran.stdout)
      }
      await telec('run', '--', 'true')
      assert.equal((await telec('audit', 'rotate-key')).code, usage, 'there is nobody to ask')
      const rotated = await telec('audit', 'rotate-key', '--yes')
      assert.equal(rotated.code, 0, rotated.stderr)
      assert.match(rotated.stdout, /^# epoch 2, from entry \d+ on$/m)
      await telec('run', '--', 'true')
      const kept = ['--keys', path('keys'), '--since', path('note')]
      const verified = await telec('audit', 'verify', '--recordings', ...kept)
      assert.equal(verified.code, 0, verified.stdout + verified.stderr)
      assert.match(
        verified.stdout,
        /^complete +yes: a checkpoint covers all \d+, and all \d+ of the earlier checkpoint/m,
      )
      const { holds, trust, since } = JSON.parse((await telec('audit', 'verify', '--json', ...kept)).stdout)
      assert.deepEqual([holds, trust.log, since > 0], [true, 'given', true])

      writeFileSync(path('other'), readFileSync(path('note'), 'utf8').replace(/^\d+$/m, '1'))
      const other = await telec('audit', 'verify', '--since', path('other'))
      assert.equal(other.code, data, other.stdout)
      writeFileSync(path('no-keys'), 'words\n')
      assert.equal((await telec('audit', 'verify', '--keys', path('no-keys'))).code, data)
    })

    test('an entry is proved to who has the public keys alone, and to nobody who has others', async () => {
      const file = path('proof')
      assert.equal((await telec('audit', 'proof', '1', '--output', file)).code, 0)
      assert.equal(statSync(file).mode & 0o777, 0o600)
      const held = await telec('audit', 'verify-proof', file, '--keys', path('keys'))
      // The key that signs by now was announced, and is not among those that were kept.
      assert.equal(held.code, data)
      assert.match(held.stdout, /no key of the log that was given has signed the checkpoint/)
      writeFileSync(path('keys-now'), (await telec('audit', 'keys')).stdout)
      const now = await telec('audit', 'verify-proof', file, '--keys', path('keys-now'))
      assert.equal(now.code, 0, now.stdout)
      assert.match(now.stdout, /^Entry 1 of the log of .* holds:\n {2}what +key\.changed\n/)
      writeFileSync(path('forged'), readFileSync(file, 'utf8').replace('"index":0', '"index":1'))
      assert.equal((await telec('audit', 'verify-proof', path('forged'), '--keys', path('keys-now'))).code, data)
      for (const words of [['proof'], ['proof', '1', '--grant', 'x'], ['proof', '0']]) {
        assert.equal((await telec('audit', ...words)).code, usage, words.join(' '))
      }
      assert.equal((await telec('audit', 'proof', '999999', '--output', path('none'))).code, data)
      assert.equal(existsSync(path('none')), false)
    })

    test('a drill finds what can be found without an auditor, and says what can not', async () => {
      const drill = await telec('audit', 'drill', '--json')
      const { log, results } = JSON.parse(drill.stdout) as {
        log: { intact: boolean }
        results: readonly { name: string; outcome: string }[]
      }
      assert.equal(drill.code, data)
      assert.equal(log.intact, true)
      const unseen = results.filter(({ outcome }) => outcome === 'no-auditor').map(({ name }) => name)
      assert.deepEqual(unseen.toSorted(), ['cut-tail', 'fork', 'restore-backup', 'rewrite'])
      assert.ok(results.every(({ outcome }) => outcome === 'found' || outcome === 'no-auditor'))
    })

    if (engine === 'sqlite') {
      test('who has been at the database is found, with the entries named', async () => {
        const target = { engine: 'sqlite', file: singleUserLayout(own.home).database } as const
        const found = "type = 'trigger' AND tbl_name = 'audit_entries'"
        const triggers = (await queryRows(target, `SELECT name, sql FROM sqlite_schema WHERE ${found}`)) as {
          name: string
          sql: string
        }[]
        assert.ok(triggers.length > 0)
        for (const { name } of triggers) await queryRows(target, `DROP TRIGGER ${name}`)
        await queryRows(
          target,
          `UPDATE audit_entries SET entry = CAST(replace(CAST(entry AS TEXT), '"service.started"', '"service.stopped"') AS BLOB)
          WHERE seq = 2`,
        )
        for (const { sql } of triggers) await queryRows(target, sql)
        const verified = await telec('audit', 'verify', '--keys', path('keys'))
        assert.equal(verified.code, data)
        assert.match(verified.stdout, /^intact +NO/m)
        assert.match(verified.stdout, /^ {2}root, entr.*2/m)
        const drill = await telec('audit', 'drill')
        assert.equal(drill.code, data)
        assert.match(drill.stdout, /^Nothing was tried: something is wrong with the log/)
      })
    }
  })
}
