// Content of others, with `telec`: an admin opens it with a reason, for a time, on the record; its owner is told; and nothing that the
// owner's program prints gets at the terminal of whoever looks. In system mode, each as their own user.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { AccessGrantPage, AccessGrantView, NoticePage } from '@teleclaude/core/access-api.ts'
import type { SessionPage } from '@teleclaude/core/api.ts'
import type { AuditPage, AuditState } from '@teleclaude/core/audit-api.ts'
import { Viewer } from '@teleclaude/screen/test-terminals.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { hostileBytes, hostileOutput } from '../packages/telec/terminal/test-hostile-output.ts'
import { alice, bob, stranger as carol, openDoorway } from '../services/api/test-service.ts'
import { Machine } from './support/machine.ts'
import { startPostgres, type TestPostgres } from './support/postgres-server.ts'

const people = { alice, bob, carol }
const config = `people:
  - { name: alice, role: admin, os_uid: ${alice} }
  - { name: bob, role: member, os_uid: ${bob} }
  - { name: carol, role: member, os_uid: ${carol} }
`
const detach = '\x1c' + 'd'
const esc = '\x1b'

if (process.getuid?.() === 0) {
  describe('content of others', { timeout: 240_000 }, () => {
    let postgres: TestPostgres
    let machine: Machine
    const ends: (() => unknown)[] = []
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
      machine = await Machine.start({ after: (end: () => void) => ends.push(end) }, postgres, {
        people,
        admin: alice,
        config,
      })
    })
    after(async () => {
      await machine?.[Symbol.asyncDispose]()
      for (const end of ends) await end()
      await postgres.stop()
    })

    /** A session of bob's that has shown what its script says first. */
    async function run(script: string, shown = 'up'): Promise<string> {
      const ran = await machine.telec(bob, 'run', '--detach', '--title', 'bobs', '--', 'sh', '-c', script)
      assert.equal(ran.code, 0, ran.stderr)
      const id = ran.stdout.trim()
      while (!(await machine.telec(bob, 'transcript', id)).stdout.includes(shown));
      return id
    }

    async function open(id: string, ...args: readonly string[]): Promise<AccessGrantView> {
      const { grant } = await machine.json<{ grant: AccessGrantView }>(alice, 'access', 'open', id, ...args)
      return grant
    }

    const grantsOn = async (id: string) =>
      (await machine.json<AccessGrantPage>(alice, 'access', 'ls', '--session', id)).grants

    test('without a reason is refused, and the refusal says what to type; to who is no admin there is no such session', async () => {
      const id = await run('echo up; exec cat')
      for (const [words, next] of [
        [['transcript', id], `telec transcript ${id} --reason TEXT, or telec access open ${id} --reason TEXT`],
        [['tail', id], `telec tail ${id} --reason TEXT`],
        [['search', 'up', id], `telec search up ${id} --reason TEXT`],
        [['send', id, 'x'], `telec send ${id} --reason TEXT, or telec access open ${id} --drive --reason TEXT`],
        [['interrupt', id], `telec interrupt ${id} --reason TEXT`],
      ] as const) {
        const ran = await machine.telec(alice, ...words)
        assert.equal(ran.code, 77, `${words.join(' ')}: ${ran.stderr}`)
        assert.ok(ran.stderr.includes(next), ran.stderr)
        assert.equal(ran.stdout, '')
        const other = await machine.telec(carol, ...words, '--reason', 'curious')
        assert.equal(other.code, 65, other.stderr)
      }
      const terminal = machine.openTerminal(alice, `telec attach ${id}; echo "code=$?"`)
      assert.match(await terminal.shows('code=77'), new RegExp(`telec attach ${id} --reason TEXT`))
      assert.deepEqual(await grantsOn(id), [])
      const timed = await machine.telec(alice, 'transcript', id, '--minutes', '5')
      assert.equal(timed.code, 64)
      assert.match(timed.stderr, /nothing says why; add --reason/)
      for (const [reason, why] of [
        ['', /its reason does not fit: it must say why/],
        ['a\nb', /it must be one line without control characters/],
        ['x'.repeat(501), /its reason does not fit: it .*500/],
      ] as const) {
        const ran = await machine.telec(alice, 'access', 'open', id, '--reason', reason)
        assert.equal(ran.code, 64, ran.stderr)
        assert.match(ran.stderr, why)
      }
      assert.equal((await machine.telec(alice, 'access', 'open', id, '--reason', 'r', '--minutes', '481')).code, 64)
      assert.deepEqual(await grantsOn(id), [])
    })

    test('is opened in one step, shown, and told to its owner: who, why, until when and how much', async () => {
      const id = await run('echo up; exec cat')
      const ran = await machine.telec(alice, 'transcript', id, '--reason', 'the build hangs', '--minutes', '5')
      assert.equal(ran.stdout, 'up\n', ran.stderr)
      assert.match(ran.stderr, new RegExp(`^Opened ${id.slice(0, 8)} of bob to look, until .*bob is told`))
      const [grant] = await grantsOn(id)
      assert.ok(grant)
      assert.partialDeepStrictEqual(grant, { grantee: 'alice', owner: 'bob', reason: 'the build hangs', drive: false })
      assert.equal(Date.parse(grant.expiresAt) - Date.parse(grant.openedAt), 300_000)

      const ls = await machine.telec(bob, 'ls')
      assert.match(ls.stderr, /notices? that you have not seen: telec notices\n$/)
      assert.ok((await machine.json<SessionPage>(bob, 'ls')).unseenNotices > 0)
      const listed = await machine.telec(bob, 'notices')
      const row = listed.stdout.split('\n').find((line) => line.includes('the build hangs'))
      assert.match(row ?? '', /^new +\S+.* alice +opened +[0-9a-f]{8} .* active +4 B +the build hangs$/)
      const { notices, unseen } = await machine.json<NoticePage>(bob, 'notices')
      assert.ok(unseen > 0, 'a pipe is nobody who has seen them')
      assert.partialDeepStrictEqual(notices[0], { kind: 'access.opened', by: 'alice', session: id, seen: false })
      assert.equal(notices[0]?.grant?.views[0]?.bytes, 4)

      const kept = machine.openTerminal(bob, 'telec notices --keep; echo "code=$?"', { cols: 200, rows: 30 })
      await kept.shows('code=0')
      assert.equal((await machine.json<NoticePage>(bob, 'notices')).unseen, unseen)
      const terminal = machine.openTerminal(bob, 'telec notices; echo "code=$?"', { cols: 200, rows: 30 })
      assert.match(await terminal.shows('code=0'), /the build hangs/)
      assert.equal((await machine.json<NoticePage>(bob, 'notices')).unseen, 0)
      assert.equal((await machine.telec(bob, 'ls')).stderr, '')
      assert.equal((await machine.telec(bob, 'notices', '--unseen')).stdout, 'There is nothing new.\n')
      assert.equal(
        (await machine.telec(carol, 'notices')).stdout,
        'Nobody else has done anything with your sessions.\n',
      )
    })

    test('is closed by the end of the grant: who follows it is cut off and told', async () => {
      const id = await run('echo up; exec cat')
      const grant = await open(id, '--reason', 'to see')
      const tail = machine.start(alice, 'tail', id)
      await tail.says('up')
      const list = await machine.telec(alice, 'access', 'ls', '--active')
      assert.match(
        list.stdout,
        new RegExp(`^${grant.id.slice(0, 8)} +active +${id.slice(0, 8)} +bob +alice +look `, 'm'),
      )
      const wrong = await machine.telec(alice, 'access', 'end', 'ffffffff')
      assert.equal(wrong.code, 65)
      assert.match(wrong.stderr, /no id of one that holds begins so/)
      const ended = await machine.telec(alice, 'access', 'end', grant.id.slice(0, 8))
      assert.equal(ended.code, 0, ended.stderr)
      assert.match(ended.stdout, new RegExp(`^Ended ${grant.id.slice(0, 8)}: `))
      const { code, stderr } = await tail.ended
      assert.equal(code, 77, stderr)
      assert.match(stderr, /cannot follow the session any more/)
      assert.equal((await machine.telec(alice, 'transcript', id)).code, 77)
      assert.equal((await machine.telec(alice, 'access', 'end', grant.id)).code, 65, 'it has ended')
      assert.equal((await machine.telec(bob, 'access', 'end', grant.id)).code, 77)
      const own = await machine.telec(bob, 'access', 'ls')
      assert.match(own.stdout, /ended .* alice .* to see$/m)
      assert.equal((await machine.telec(carol, 'access', 'ls')).stdout, 'Nobody opened anything.\n')
    })

    test('is typed into under a grant that says so, and its owner is told', async () => {
      const id = await run('stty -echo; echo up; while read -r line; do echo "got <$line>"; done')
      await open(id, '--reason', 'only to look')
      const refused = await machine.telec(alice, 'send', id, 'x', '--enter')
      assert.equal(refused.code, 77)
      assert.match(refused.stderr, /to look only .*--drive/)
      const sent = await machine.telec(alice, 'send', id, 'hello', '--enter', '--reason', 'it waits for an answer')
      assert.equal(sent.code, 0, sent.stderr)
      while (!(await machine.telec(bob, 'transcript', id)).stdout.includes('got <hello>'));
      const { notices } = await machine.json<NoticePage>(bob, 'notices')
      assert.deepEqual(
        notices.filter(({ session }) => session === id).map(({ kind }) => kind),
        ['session.commanded', 'access.opened', 'access.opened'],
      )
    })

    test('its owner sees at their terminal who opens it, and never in what the program prints', async () => {
      const terminal = machine.openTerminal(bob, 'telec run -- sh -c "echo up; exec cat"')
      await terminal.shows('up')
      const { sessions } = await machine.json<SessionPage>(bob, 'ls', '--limit', '1')
      const id = sessions[0]?.id ?? ''
      const plain = machine.start(bob, 'tail', id)
      await plain.says('up')
      const grant = await open(id, '--reason', 'a look \u001b]0;evil'.replace('\u001b', ''))
      const said = 'alice opened this session and may look until '
      await terminal.shows(said)
      await terminal.shows('a look ]0;evil')
      await plain.says(said)
      await machine.telec(alice, 'access', 'end', grant.id)
      await plain.says('alice can not open this session any more')
      await terminal.shows('alice can not open this session any more')
      terminal.type('\x04')
      await terminal.ended
      const raw = await machine.telec(bob, 'transcript', id, '--format', 'raw')
      assert.equal(raw.stdout.replaceAll('\r', ''), 'up\n')
      assert.doesNotMatch((await plain.ended).stdout, /alice/)
    })

    test('is joined to look, unless the grant drives: what is typed gets there only then', async () => {
      const id = await run('stty -echo; echo up; while read -r line; do echo "got <$line>"; done')
      const looking = machine.openTerminal(alice, `telec attach ${id} --reason "to look"; echo "code=$?"`)
      await looking.shows(/up/)
      await looking.shows('you are looking')
      looking.type('not this\r')
      const driving = machine.openTerminal(alice, `telec attach ${id} --drive --reason "to help"; echo "code=$?"`)
      await driving.shows(/up/)
      driving.type('but this\r')
      await driving.shows('got <but this>')
      await looking.shows('got <but this>')
      assert.doesNotMatch(looking.got, /got <not this>/)
      for (const terminal of [looking, driving]) {
        terminal.type(detach)
        await terminal.shows('code=0')
      }
      const joined = machine.openTerminal(alice, `telec attach ${id}; echo "code=$?"`)
      await joined.shows('got <but this>')
      joined.type('and this\r')
      await joined.shows('got <and this>')
      const [drives] = (await grantsOn(id)).filter(({ drive }) => drive)
      await machine.telec(alice, 'access', 'end', drives?.id ?? '')
      const shown = await joined.shows('code=77')
      assert.match(shown, /cannot show the session any more/)
      assert.match(shown, new RegExp(`telec attach ${id} --reason TEXT`))
    })

    test('whatever its program prints, who looks at it has a terminal that answers nothing and is as it was', async () => {
      const file = join(machine.home(bob), 'hostile')
      const all = Object.keys(hostileOutput).map((name) =>
        Buffer.concat([hostileBytes(name), Buffer.from('\x18\x1b\\\r\n')]),
      )
      writeFileSync(file, Buffer.concat([...all, Buffer.from('\x1b[!p\x1b[?1049l\x1b[H\x1b[2Jthe end\r\n')]))
      const id = await run(`echo up; read -r go; cat ${file}; exec cat`)
      await open(id, '--reason', 'what is this?', '--drive')
      const script = `stty -g; telec attach ${id} --view; echo "code=$?"; stty -g; telec attach ${id} --take; echo "code=$?"; telec tail -n 40 ${id}`
      const size = { cols: 100, rows: 30 }
      const terminal = machine.openTerminal(alice, script, size)
      await terminal.shows(/\n.*up/)
      await machine.telec(bob, 'send', id, 'go', '--enter')
      await terminal.shows('the end')
      terminal.type(detach)
      await terminal.shows('code=0')
      await terminal.shows(/code=0.*the end/s)
      terminal.type(detach)
      await terminal.shows(/code=0.*code=0.*the end/s)
      const [before, ...rest] = terminal.got.split('\r\n')
      assert.ok(rest.includes(before ?? ''), 'the line discipline is as it was')
      assert.doesNotMatch(terminal.got, /owned/)
      const ours = new RegExp(
        String.raw`^(?:${esc}\[(?:[\d;:]*m|\d+;\d+H|\d+G|H|[0-2]?[JK]|\?25[hl]|\?1[hl]|\?2004[hl])|\r|\n|[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}])*$`,
        'u',
      )
      assert.match(terminal.got, ours)
      const viewer = new Viewer(size)
      await viewer.write(terminal.got)
      assert.deepEqual([viewer.replies, viewer.title], ['', null])
      assert.deepEqual(viewer.terminal.modes, new Viewer(size).terminal.modes)

      const shown = await machine.telec(alice, 'transcript', id)
      assert.match(shown.stdout, /^(?:[^\p{Cc}\p{Cf}\p{Cs}]|\n)*$/u)
      const onTerminal = machine.openTerminal(
        alice,
        `telec transcript ${id}; telec transcript --format cast ${id}; echo "code=$?"`,
      )
      assert.match(await onTerminal.shows('code=0'), ours)
    })

    test('what was done is on the record, of one and of all, and the record verifies', async () => {
      const id = await run('echo up; exec cat')
      const grant = await open(id, '--reason', 'for the record')
      await machine.telec(alice, 'transcript', id)
      await machine.telec(alice, 'access', 'end', grant.id)
      const { entries } = await machine.json<AuditPage>(alice, 'audit', 'ls', '--session', id.slice(0, 8))
      assert.deepEqual(entries.map(({ action }) => action).toSorted(), [
        'access.ended',
        'access.opened',
        'content.delivered',
        'content.opened',
        'session.started',
      ])
      const opened = entries.find(({ action }) => action === 'access.opened')
      assert.partialDeepStrictEqual(opened, {
        actor: 'alice',
        session: { id, owner: 'bob' },
        detail: { reason: 'for the record' },
      })
      const shown = await machine.telec(
        alice,
        'audit',
        'ls',
        '--owner',
        'bob',
        '--action',
        'access.opened',
        '--since',
        '1h',
      )
      assert.match(
        shown.stdout,
        /^ *\d+ {2}\S+ \S+ +alice +access\.opened +[0-9a-f]{8} +bob +reason="for the record" /m,
      )
      const mine = await machine.json<AuditPage>(bob, 'audit', 'mine', '--session', id)
      assert.ok(mine.entries.every(({ seq }) => seq === null))
      assert.ok(mine.entries.some(({ detail }) => detail.reason === 'for the record'))
      assert.doesNotMatch((await machine.telec(carol, 'audit', 'mine')).stdout, /bob|alice/)

      const verified = await machine.telec(alice, 'audit', 'verify', '--recordings')
      assert.equal(verified.code, 0, verified.stdout + verified.stderr)
      assert.match(verified.stdout, /^intact +yes/m)
      assert.match(verified.stdout, /^complete +yes/m)
      assert.match(verified.stdout, /^exposure +everything/m)

      const keys = await machine.telec(bob, 'audit', 'keys')
      assert.equal(keys.code, 0, keys.stderr)
      writeFileSync(join(machine.home(bob), 'keys'), keys.stdout)
      writeFileSync(join(machine.home(alice), 'keys'), keys.stdout)
      const proof = await machine.telec(bob, 'audit', 'proof', '--grant', grant.id.slice(0, 8), '--output', 'proof')
      assert.equal(proof.code, 0, proof.stderr)
      assert.equal(
        (await machine.telec(bob, 'audit', 'proof', '--grant', grant.id, '--output', 'proof')).code,
        65,
        'it is there',
      )
      const held = await machine.telec(bob, '--socket', '/nowhere', 'audit', 'verify-proof', 'proof', '--keys', 'keys')
      assert.equal(held.code, 0, held.stdout + held.stderr)
      assert.match(held.stdout, /^ {2}reason +for the record$/m)

      const exported = await machine.telec(alice, 'audit', 'export', '--output', 'log')
      assert.equal(exported.code, 0, exported.stderr)
      const known = await machine.telec(alice, 'audit', 'verify', '--keys', 'keys')
      assert.equal(known.code, 0, known.stdout + known.stderr)
      assert.match(known.stdout, /^keys +(?:given|those of the log are given)/m)
      const drill = await machine.telec(alice, 'audit', 'drill')
      // Without an auditor, what leaves the log of one piece is found by nobody, and said to be.
      assert.equal(drill.code, 65, drill.stdout + drill.stderr)
      for (const name of ['flip-byte', 'delete-entry', 'close-gap', 'swap-entries', 'unannounced-key', 'announced-key'])
        assert.match(drill.stdout, new RegExp(`^${name} +the database +found `, 'm'))
      assert.match(drill.stdout, /^cut-tail +the database +not found: nothing is cosigned/m)
      assert.doesNotMatch(drill.stdout, /MISSED/)
      for (const refused of [['export'], ['ls'], ['verify'], ['state']] as const) {
        const ran = await machine.telec(bob, 'audit', ...refused)
        assert.ok(refused[0] === 'ls' || ran.code === 77, `${refused[0]}: ${ran.stderr}`)
      }
      const terminal = machine.openTerminal(alice, 'telec audit export; echo "code=$?"')
      assert.match(await terminal.shows('code=64'), /standard output is a terminal/)
    })

    test('an alarm is shown, counts against the log, and is acknowledged on the record', async (t) => {
      const store = await openStore({ engine: 'postgres', url: machine.place.url })
      t.after(() => store.close())
      const id = randomUUID()
      const message = 'entries \u001b[2J\u009b31m2 to 3\u202e are others'
      await store.auditor.raiseAlarm('h', { id, kind: 'fork', atUs: Date.now() * 1000, fromSeq: 2, toSeq: 3, message })
      const alarms = await machine.telec(alice, 'audit', 'alarms')
      assert.equal(alarms.code, 65)
      const row = new RegExp(
        `^${id.slice(0, 8)} +\\S+ \\S+ +fork +2-3 +nobody +entries ␛\\[2J\ufffd31m2 to 3\ufffd are others$`,
        'm',
      )
      assert.match(alarms.stdout, row)
      assert.equal((await machine.telec(alice, 'audit', 'state')).code, 65)
      const verified = await machine.telec(alice, 'audit', 'verify')
      assert.equal(verified.code, 65)
      assert.match(verified.stdout, /^alarms +1 that nobody has looked at/m)
      assert.equal((await machine.telec(alice, 'audit', 'acknowledge', 'ffffffff', '--note', 'x')).code, 65)
      const seen = await machine.telec(alice, 'audit', 'acknowledge', id.slice(0, 8), '--note', 'a test of ours')
      assert.equal(seen.code, 0, seen.stderr)
      assert.equal((await machine.telec(alice, 'audit', 'alarms')).code, 0)
      const { entries } = await machine.json<AuditPage>(alice, 'audit', 'ls', '--action', 'alarm.acknowledged')
      assert.equal(entries[0]?.detail.note, 'a test of ours')
      assert.equal((await machine.telec(alice, 'audit', 'verify')).code, 0)
    })

    test('with an auditor all of it is cosigned, nothing is exposed, and the drill finds everything', async (t) => {
      const directory = join(machine.place.directory, 'auditor')
      mkdirSync(directory, { mode: 0o700 })
      const env = { PATH: process.env.PATH, DATABASE_URL: machine.place.url, TELECLAUDE_HOST: 'h' }
      const auditor = spawn(process.execPath, ['services/auditor/main.ts'], {
        env: { ...env, TELECLAUDE_AUDIT_DIR: directory, HOME: directory },
        stdio: 'ignore',
      })
      const ended = once(auditor, 'exit')
      t.after(async () => {
        auditor.kill()
        await ended
      })
      const state = () => machine.json<AuditState>(alice, 'audit', 'state')
      while ((await state()).auditor === null);
      for (let now = await state(); now.cosigned < now.size || now.exposureSeconds !== 0; now = await state());
      const keys = await machine.telec(alice, 'audit', 'keys')
      writeFileSync(join(machine.home(alice), 'keys-of-both'), keys.stdout)
      const verified = await machine.telec(alice, 'audit', 'verify', '--keys', 'keys-of-both')
      assert.equal(verified.code, 0, verified.stdout)
      assert.match(verified.stdout, /^cosigned +all, at /m)
      assert.match(verified.stdout, /^exposure +nothing/m)
      assert.match(verified.stdout, /^keys +given$/m)
      const drill = await machine.telec(alice, 'audit', 'drill', '--keys', 'keys-of-both')
      assert.equal(drill.code, 0, drill.stdout + drill.stderr)
      assert.equal(drill.stdout.match(/ found /g)?.length, 10)
    })
  })
}
