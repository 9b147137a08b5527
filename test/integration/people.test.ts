// Who callers are to the appliance, from the host and from other containers, and what that lets them do.

import assert from 'node:assert/strict'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { AccountList, SessionPage, Whoami } from '@teleclaude/core/api.ts'
import { GenericContainer } from 'testcontainers'
import { Appliance, containerOutput, type User, uids } from '../support/appliance.ts'

let own: Appliance

before(async () => {
  own = await Appliance.start()
})
after(() => own[Symbol.asyncDispose]())

function whoami(user: User | number): Promise<Whoami> {
  return own.json<Whoami>(user, ['whoami'])
}

/** Written anew and moved into its place, as useradd does. */
function changeAccounts(change: (passwd: string) => string): void {
  const passwd = join(own.etc, 'passwd')
  writeFileSync(`${passwd}+`, change(readFileSync(passwd, 'utf8')))
  renameSync(`${passwd}+`, passwd)
}

describe('people of the host', () => {
  test('are who the kernel says, by the names of the host, each with the role of the configuration', async () => {
    const seen = await Promise.all((['alice', 'bob', 'carol'] as const).map(whoami))
    assert.deepEqual(
      seen.map(({ uid, osUser, person, role, host, mode }) => ({ uid, osUser, person, role, host, mode })),
      [
        { uid: 30001, osUser: 'alice', person: 'alice', role: 'member', host: 'build-1', mode: 'system' },
        { uid: 30002, osUser: 'bob', person: 'bob', role: 'member', host: 'build-1', mode: 'system' },
        { uid: 30003, osUser: 'carol', person: 'carol', role: 'admin', host: 'build-1', mode: 'system' },
      ],
    )
  })

  test('run sessions as themselves, which nobody but they and admins see, and whose content is theirs', async () => {
    const ran = await own.telec('alice', ['run', '--title', 'mine', '--', 'sh', '-c', 'id -u; exit 3'])
    assert.equal(ran.code, 3, ran.stderr)
    assert.equal(ran.stdout.toString('utf8').trim(), String(uids.alice))
    assert.match(ran.stderr, /Sessions on this system are subject to admin audit\./)

    const sessionsOf = async (user: User) => (await own.json<SessionPage>(user, ['ls', '--all'])).sessions
    const [session] = await sessionsOf('alice')
    assert.ok(session)
    assert.deepEqual(session.owner, { person: 'alice', uid: uids.alice, osUser: 'alice' })
    assert.deepEqual(await sessionsOf('bob'), [])
    const seenByAdmin = (await sessionsOf('carol')).find(({ id }) => id === session.id)
    assert.equal(seenByAdmin?.argv, null)

    const transcript = (user: User) => own.telec(user, ['transcript', session.id])
    assert.equal((await transcript('alice')).stdout.toString('utf8').trim(), String(uids.alice))
    assert.equal((await transcript('bob')).code, 65)
    assert.equal((await transcript('carol')).code, 77)
  })

  test('are nobody where neither an account nor the configuration knows them, and root is one of these', async () => {
    for (const user of ['stranger', 'root'] as const) {
      const { person, role } = await whoami(user)
      assert.deepEqual({ person, role }, { person: null, role: 'public' }, user)
      const ran = await own.telec(user, ['run', '--', 'true'])
      assert.equal(ran.code, 77, ran.stderr)
      assert.match(ran.stderr, /does not know you: an admin has to add you/)
    }
  })

  test('that were added after the start are known as soon as their account is there', async () => {
    changeAccounts((accounts) => `${accounts}dave:x:30004:30004::/nonexistent:/bin/sh\n`)
    while ((await whoami(30004)).osUser === null) await delay(50)
    assert.equal((await whoami(30004)).person, 'dave')
  })

  test('whose uid was somebody else’s see nothing of that one’s until an admin rebinds it, and then no more than their own', async () => {
    const ran = await own.telec(30004, ['run', '--title', 'of-dave', '--', 'true'])
    assert.equal(ran.code, 0, ran.stderr)
    // userdel dave; useradd --uid 30004 mallory; and a new dave, with the next uid.
    changeAccounts((accounts) => accounts.replace('dave:x:30004', 'mallory:x:30004'))
    // The machine's accounts are looked at a few times a second.
    while ((await whoami(30004)).osUser !== 'mallory') await delay(50)
    const refused = await own.telec(30004, ['ls', '--all'])
    assert.equal(refused.code, 77, refused.stderr)
    assert.match(refused.stderr, /the account mallory \(uid 30004\) is not who was seen here before.*rebind 30004/)
    assert.equal((await whoami(30004)).role, 'public')
    changeAccounts((accounts) => `${accounts}dave:x:30005:30005::/nonexistent:/bin/sh\n`)
    while ((await whoami(30005)).osUser !== 'dave') await delay(50)
    assert.equal((await whoami(30005)).role, 'public')

    assert.equal((await own.telec('alice', ['people', 'rebind', 'mallory', '--yes'])).code, 77)
    const unasked = await own.telec('carol', ['people', 'rebind', 'mallory'])
    assert.equal(unasked.code, 64, unasked.stderr)
    const { accounts } = await own.json<AccountList>('carol', ['people', 'ls'])
    assert.partialDeepStrictEqual(
      accounts.find(({ uid }) => uid === 30004),
      { osUser: 'mallory', bound: { osUser: 'dave' }, quarantined: true, person: 'mallory' },
    )
    const rebound = await own.telec('carol', ['people', 'rebind', 'mallory', '--yes'])
    assert.equal(rebound.code, 0, rebound.stderr)
    assert.match(rebound.stdout.toString('utf8'), /Done: the account mallory \(uid 30004\) is mallory, member/)
    assert.equal((await whoami(30004)).person, 'mallory')
    assert.deepEqual((await own.json<SessionPage>(30004, ['ls', '--all'])).sessions, [])
    assert.equal((await whoami(30005)).role, 'public')
  })

  test('can ask what they may do, and admins what anybody may', async () => {
    assert.equal((await own.telec('alice', ['can', 'alice', 'session.create'])).code, 0)
    assert.equal((await own.telec('alice', ['can', 'alice', 'config.reload'])).code, 77)
    assert.equal((await own.telec('alice', ['can', 'carol', 'config.reload'])).code, 77)
    const asked = await own.telec('carol', ['can', 'alice', 'config.reload'])
    assert.equal(asked.code, 77)
    assert.match(asked.stdout.toString('utf8'), /^no: alice may not do config\.reload\nwhy: this is for admins\n/)
    const explained = (await own.telec('carol', ['whoami', '--explain'])).stdout.toString('utf8')
    assert.match(explained, /^ {2}rule +admin_uid: carol has os_uid 30003\n +\/etc\/teleclaude\/\.env:1$/m)
  })

  test('can not say who they are in any header', async () => {
    const { body } = await own.curl('/v1/whoami', 'stranger', [
      'X-Forwarded-User: carol',
      'Authorization: Basic Y2Fyb2w6',
    ])
    assert.equal((JSON.parse(body) as Whoami).role, 'public')
  })
})

describe('processes in other containers', () => {
  async function whoamiInContainer(user: string): Promise<Whoami> {
    const script = `require('http').get({ socketPath: '/shared/api.sock', path: '/v1/whoami' }, (r) => r.pipe(process.stdout))`
    const container = new GenericContainer('node:26-bookworm-slim')
      .withNetworkMode('none')
      .withUser(user)
      .withBindMounts([{ source: own.runDir, target: '/shared' }])
    return JSON.parse((await containerOutput(container, ['node', '-e', script])).text) as Whoami
  }

  test('with the directory mounted are whoever their uid is on the host', async () => {
    const { uid, person, pid } = await whoamiInContainer(`${uids.bob}`)
    assert.deepEqual({ uid, person, pid }, { uid: uids.bob, person: 'bob', pid: 0 })
    assert.equal((await whoamiInContainer(`${uids.stranger}`)).role, 'public')
    assert.equal((await whoamiInContainer('0')).role, 'public')
  })
})

describe('the audit log', () => {
  const lines = async () => {
    const { stdout } = await own.exec('auditor', null, 'cat', '/var/log/teleclaude/audit.jsonl')
    return stdout
      .toString('utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { seq: number; action: string; actor: { uid?: number } })
  }

  test("has on the auditor's own volume who started what, whom it refused, and no content", async () => {
    const marked = 'argument-that-nobody-else-may-read'
    const ran = await own.telec('bob', ['run', '--', 'echo', marked])
    assert.equal(ran.code, 0)
    const [session] = (await own.json<SessionPage>('bob', ['ls', '--all'])).sessions
    assert.ok(session)
    const wanted = (found: Awaited<ReturnType<typeof lines>>) =>
      found.some(({ action, actor }) => action === 'session.started' && actor.uid === uids.bob) &&
      found.some(({ action }) => action === 'session.ended') &&
      found.some(({ action, actor }) => action === 'request.denied' && actor.uid === uids.stranger)
    await own.telec('stranger', ['run', '--', 'true'])
    let found = await lines()
    while (!wanted(found)) {
      await delay(100)
      found = await lines()
    }
    assert.deepEqual(
      found.map(({ seq }) => seq),
      found.map((_entry, index) => index + 1),
    )
    assert.ok(!JSON.stringify(found).includes(marked))
    const verified = await own.exec('auditor', null, 'node', 'services/auditor/main.ts', 'verify')
    assert.equal(verified.code, 0, verified.stdout.toString('utf8') + verified.stderr)
  })
})
