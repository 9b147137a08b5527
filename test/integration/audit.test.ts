// Somebody else's content in the appliance, as an admin, an owner, an auditor and the database's owner meet it: opened on the
// record, cosigned, proved on another machine, and tampered with.

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { AccessGrantPage, NoticePage } from '@teleclaude/core/access-api.ts'
import type { SessionPage } from '@teleclaude/core/api.ts'
import type { AuditPage, AuditState } from '@teleclaude/core/audit-api.ts'
import { cosignatureV1, formatVerifierKey, verifierKeyOf } from '@teleclaude/core/signed-note.ts'
import { Appliance, type User } from '../support/appliance.ts'

const config = `people:
  - { name: carol, role: admin, os_username: carol }
accounts: { role: member, min_uid: 30001, max_uid: 30003 }
audit:
  require: cosigned
  on_alarm: refuse
`
const marked = 'what-alice-thinks-aloud'

let own: Appliance
let session: string
before(async () => {
  own = await Appliance.start({ config, env: { TELECLAUDE_ADMIN_UID: '' } })
  const ran = await own.telec('alice', ['run', '--', 'echo', marked])
  assert.equal(ran.code, 0, ran.stderr)
  session = (await own.json<SessionPage>('alice', ['ls', '--all'])).sessions[0]?.id ?? ''
})
after(() => own[Symbol.asyncDispose]())

async function says(user: User, words: readonly string[], code = 0): Promise<string> {
  const ran = await own.telec(user, words)
  const said = ran.stdout.toString('utf8')
  assert.equal(ran.code, code, `telec ${words.join(' ')}: ${said}${ran.stderr}`)
  return said + ran.stderr
}

const newKey = () => generateKeyPairSync('ed25519').privateKey

async function sql(statement: string): Promise<string> {
  const psql = [
    'psql',
    '-XAtq',
    '-h',
    '/run/teleclaude/postgres',
    '-U',
    'postgres',
    '-d',
    'teleclaude',
    '-c',
    statement,
  ]
  const { code, stdout, stderr } = await own.exec('postgres', null, ...psql)
  assert.equal(code, 0, stderr)
  return stdout.toString('utf8').trim()
}

describe("somebody else's session", () => {
  test('is opened to an admin with a reason alone, on a record that is cosigned first, and its owner is told', async () => {
    assert.match(await says('carol', ['transcript', session], 77), /telec access open/)
    assert.ok(!(await says('carol', ['show', session])).includes(marked))
    assert.match(await says('bob', ['access', 'open', session, '--reason', 'curious'], 65), /none of yours/)
    assert.match(await says('alice', ['access', 'open', session, '--reason', 'mine'], 77), /for admins/)
  })

  test('shows nothing while the auditor, who has to sign first, is away', async () => {
    await own.stopService('auditor')
    const refused = await says('carol', ['transcript', session, '--reason', 'while nobody looks'], 69)
    assert.ok(!refused.includes(marked), refused)
    assert.match(refused, /auditor/)
    await own.startService('auditor')
  })

  test('is read under the grant, and both know what was read', async () => {
    const shown = await says('carol', ['transcript', session, '--reason', 'disk is full, looking for who fills it'])
    assert.ok(shown.includes(marked))
    const { notices } = await own.json<NoticePage>('alice', ['notices'])
    const [notice] = notices
    assert.partialDeepStrictEqual(notice, { kind: 'access.opened', by: 'carol', session, seen: false })
    assert.equal(notice?.grant?.reason, 'disk is full, looking for who fills it')
    assert.ok((notice?.grant?.views[0]?.bytes ?? 0) >= marked.length)
    assert.match(await says('alice', ['ls']), /notice/)
    const mine = await own.json<AuditPage>('alice', ['audit', 'mine'])
    const actions = mine.entries.map(({ action }) => action)
    for (const action of ['access.opened', 'content.opened', 'content.delivered']) assert.ok(actions.includes(action))
    assert.ok(mine.entries.every(({ seq }) => seq === null))
    assert.deepEqual((await own.json<NoticePage>('bob', ['notices'])).notices, [])
    assert.ok(!JSON.stringify(await own.json<AuditPage>('bob', ['audit', 'ls'])).includes(session))
  })

  test('is shown on the word of the configured auditor alone', async () => {
    const { stdout } = await own.exec('auditor', null, 'node', 'services/auditor/main.ts', 'status', '--json')
    const { key } = JSON.parse(stdout.toString('utf8'))
    assert.ok((await says('carol', ['audit', 'keys'])).includes(`\n${key}\n`))
    const other = formatVerifierKey(verifierKeyOf({ name: key.split('+')[0], key: newKey() }, cosignatureV1))
    const trust = async (auditorKey: string) => {
      writeFileSync(own.configFile, `${config}  auditor_key: ${auditorKey}\n`)
      await says('carol', ['config', 'reload'])
    }
    await trust(other)
    assert.match(await says('carol', ['transcript', session, '--reason', 'who signs?'], 69), /wrong with the audit log/)
    const state = await own.telec('carol', ['audit', 'state'])
    assert.notEqual(state.code, 0)
    assert.match(state.stdout.toString('utf8'), /another auditor's key than audit\.auditor_key/)
    await trust(key)
    assert.ok((await says('carol', ['transcript', session, '--reason', 'the right one signs'])).includes(marked))
    assert.ok((await says('carol', ['audit', 'state'])).includes('cosigned'))
  })
})

describe('the log', () => {
  test('verifies with keys that were kept, proves entries without the service, and every tampering with it would be found', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'teleclaude-proof-'))
    // Others have to read it.
    chmodSync(directory, 0o755)
    try {
      const keys = join(directory, 'keys.txt')
      writeFileSync(keys, (await own.telec('carol', ['audit', 'keys'])).stdout)
      const verified = await says('carol', ['audit', 'verify', '--keys', keys, '--recordings'])
      assert.match(verified, /intact +yes/i)
      assert.match(verified, /complete +yes/i)
      const { grants } = await own.json<AccessGrantPage>('alice', ['access', 'ls'])
      const proof = join(directory, 'proof.json')
      writeFileSync(proof, (await own.telec('alice', ['audit', 'proof', '--grant', grants[0]?.id ?? ''])).stdout)
      // Where there is no service.
      const words = ['audit', 'verify-proof', proof, '--keys', keys, '--json']
      const offline = JSON.parse(
        (await own.telec('bob', ['--socket', '/nowhere.sock', ...words])).stdout.toString('utf8'),
      )
      assert.equal(offline.holds, true, JSON.stringify(offline))
      const drilled = await own.telec('carol', ['audit', 'drill', '--keys', keys])
      assert.equal(drilled.code, 0, drilled.stdout.toString('utf8') + drilled.stderr)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  test('its key is kept over a restart, out of the database', async () => {
    const before = (await own.telec('carol', ['audit', 'keys'])).stdout.toString('utf8')
    await own.startService('api')
    await own.untilReady()
    assert.equal((await own.telec('carol', ['audit', 'keys'])).stdout.toString('utf8'), before)
    await says('carol', ['audit', 'rotate-key', '--yes'])
    const after = (await own.telec('carol', ['audit', 'keys'])).stdout.toString('utf8')
    assert.notEqual(after, before)
    assert.ok(!(await sql("SELECT string_agg(convert_from(entry, 'UTF8'), '') FROM audit_entries")).includes('PRIVATE'))
    assert.match(await says('carol', ['audit', 'verify']), /intact +yes/i)
  })

  test("that the database's owner rewrites is an alarm, and nobody's content is shown until an admin has looked", async () => {
    const state = async () =>
      // Ends with 65 where something is wrong.
      JSON.parse((await own.telec('carol', ['audit', 'state', '--json'])).stdout.toString('utf8')) as AuditState
    await sql('ALTER TABLE audit_entries DISABLE TRIGGER ALL')
    const last = await sql('SELECT max(seq) FROM audit_entries')
    await sql(`DELETE FROM audit_entries WHERE seq = ${last}; UPDATE audit_heads SET seq = seq - 1, tree = NULL`)
    await sql('ALTER TABLE audit_entries ENABLE ALWAYS TRIGGER audit_entries_stay')
    let seen = await state()
    while (seen.alarms.length === 0) {
      await delay(100)
      seen = await state()
    }
    const [alarm] = seen.alarms
    assert.match(alarm?.kind ?? '', /rollback|fork/)
    assert.match(await says('carol', ['transcript', session, '--reason', 'again'], 69), /alarm/)
    await says('carol', ['audit', 'acknowledge', alarm?.id ?? '', '--note', 'restored from a backup on purpose'])
    const verified = await own.telec('carol', ['audit', 'verify'])
    assert.equal(verified.code, 65, verified.stdout.toString('utf8'))
  })
})
