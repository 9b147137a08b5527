// What several people of one machine see of each other with `telec`, and what becomes of somebody's terminals and programs when the
// service does not let them in any more. In system mode, each as their own user.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from '@teleclaude/client/client.ts'
import type { NewSessionAnswer, SessionPage, SessionView } from '@teleclaude/core/api.ts'
import { decodeChunk, maxChunkBytes } from '@teleclaude/core/transcript.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { newSession } from '../packages/store/test-engines.ts'
import { spawnPty } from '../packages/telec/runner/pty.ts'
import type { RunnerTask } from '../packages/telec/runner/runner.ts'
import { Spool } from '../packages/telec/runner/spool.ts'
import {
  alice,
  ask,
  bob,
  makeServicePlace,
  openDoorway,
  type Place,
  reconfigure,
  Service,
} from '../services/api/test-service.ts'
import { openCheckout } from './support/open-checkout.ts'
import { startPostgres, type TestPostgres } from './support/postgres-server.ts'

const admin = `people:\n  - { name: alice, role: admin, os_uid: ${alice} }\n`
const both = `${admin}  - { name: bob, role: member, os_uid: ${bob} }\n`
const unknown = 'this service does not know you: an admin has to add you to its people'

if (process.getuid?.() === 0) {
  describe('people of one machine', { timeout: 120_000 }, () => {
    let postgres: TestPostgres
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
    })
    after(() => postgres.stop())

    async function make(t: TestContext) {
      const place = await makeServicePlace(t, postgres, { migrated: true })
      const serving = new Service(place, { wait: false })
      await serving.says(/^ready$/)
      await reconfigure(place, both)
      for (const [name, uid] of [
        ['alice', alice],
        ['bob', bob],
      ] as const) {
        mkdirSync(join(place.directory, name))
        chownSync(join(place.directory, name), uid, uid)
      }
      return {
        place,
        /** Before the directory that it is in is removed. */
        async [Symbol.asyncDispose]() {
          // A test that failed may have left some behind.
          await reconfigure(place, both)
          const { body } = await ask(place.socket, alice, 'GET', '/v1/sessions?status=running')
          for (const { id } of (body as unknown as SessionPage).sessions)
            await telec(place, alice, 'stop', '--force', id)
          await serving.stop()
        },
      }
    }

    const homeOf = (place: Place, uid: number) => join(place.directory, uid === alice ? 'alice' : 'bob')
    const envOf = (place: Place, uid: number) => ({
      PATH: process.env.PATH,
      HOME: homeOf(place, uid),
      TELECLAUDE_SOCKET: place.socket,
    })

    function start(place: Place, uid: number, args: readonly string[]) {
      const { node, telec } = openCheckout()
      return spawn(node, [telec, ...args], {
        uid,
        gid: uid,
        cwd: homeOf(place, uid),
        env: envOf(place, uid),
        stdio: ['ignore', 'pipe', 'pipe'],
      })
    }

    async function telec(place: Place, uid: number, ...args: readonly string[]) {
      const child = start(place, uid, args)
      const ended = once(child, 'close') as Promise<[number]>
      const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended])
      return { stdout, stderr, code }
    }

    /** A shell of bob's on a terminal, with `telec` in it. */
    function openTerminal(place: Place, script: string) {
      const { node, telec } = openCheckout()
      const bin = join(place.directory, 'bin')
      mkdirSync(bin, { recursive: true })
      writeFileSync(join(bin, 'telec'), `#!/bin/sh\nexec '${node}' '${telec}' "$@"\n`, { mode: 0o755 })
      let screen = ''
      let wake: (() => void) | null = null
      const { promise: ended, resolve } = Promise.withResolvers<void>()
      const env = { ...envOf(place, bob), PATH: `${bin}:${process.env.PATH}`, TERM: 'xterm' }
      const words = ['--reuid', `${bob}`, '--regid', `${bob}`, '--clear-groups', 'sh', '-c', script]
      spawnPty(
        { file: '/usr/bin/setpriv', args: words, env, cwd: homeOf(place, bob), size: { cols: 200, rows: 30 } },
        {
          output: (bytes) => {
            screen += bytes.toString('latin1')
            wake?.()
          },
          exited: () => resolve(),
        },
      )
      return {
        ended,
        screen: () => screen,
        async shows(wanted: string) {
          while (!screen.includes(wanted)) {
            await new Promise<void>((seen) => {
              wake = seen
            })
          }
        },
      }
    }

    async function until(place: Place, id: string, wanted: SessionView['status']): Promise<SessionView> {
      for (;;) {
        const { body } = await ask(place.socket, alice, 'GET', `/v1/sessions/${id}`)
        const session = body as unknown as SessionView
        if (session.status === wanted) return session
        await delay(50)
      }
    }

    async function newest(place: Place): Promise<SessionView> {
      const { body } = await ask(place.socket, alice, 'GET', '/v1/sessions?limit=1')
      const [session] = (body as unknown as SessionPage).sessions
      assert.ok(session)
      return session
    }

    test('who is removed gets the terminal back with the reason; the program goes on, is lost, and comes back whole', async (t) => {
      await using own = await make(t)
      const { place } = own
      const input = join(homeOf(place, bob), 'input')
      writeFileSync(input, '')
      const program = `echo up; tail -n +1 -f input | while read -r line; do echo "said $line"; [ "$line" = end ] && exit; done; exit 3`
      writeFileSync(join(homeOf(place, bob), 'program'), program)
      const terminal = openTerminal(place, 'stty -g; telec run -- sh program; echo "code=$?"; stty -g')
      await terminal.shows('up')
      const { id } = await newest(place)

      await reconfigure(place, admin)
      await terminal.ended
      const shown = terminal.screen()
      assert.ok(shown.includes(`telec: cannot show the session any more: ${unknown}\r\n`), shown)
      const lines = shown.trim().split('\r\n')
      assert.deepEqual(lines.slice(-2), ['code=77', lines[0]])

      await appendFile(input, 'one\n')
      await until(place, id, 'lost')
      await appendFile(input, 'two\n')
      await reconfigure(place, both)
      await until(place, id, 'running')
      await appendFile(input, 'three\nend\n')
      const { exit } = await until(place, id, 'ended')
      assert.deepEqual(exit, { kind: 'exited', code: 3 })
      const { stdout } = await telec(place, bob, 'transcript', id, '--format', 'raw')
      assert.equal(stdout, 'up\r\nsaid one\r\nsaid two\r\nsaid three\r\nsaid end\r\n')
    })

    test('the program of who stays shut out is ended, and what the service does not have is kept', async (t) => {
      await using own = await make(t)
      const { place } = own
      const { node, telec } = openCheckout()
      const home = homeOf(place, bob)
      const run = async (script: string) => {
        const body = {
          project: home,
          agent: null,
          title: 't',
          argv: ['sh'],
          terminal: { cols: 80, rows: 24 },
        }
        const created = await ask(place.socket, bob, 'POST', '/v1/sessions', body)
        const { id } = (created.body as unknown as NewSessionAnswer).session
        const task: RunnerTask = {
          sessionId: id,
          socketPath: place.socket,
          spoolDirectory: home,
          refusedGraceMs: 300,
          file: '/bin/sh',
          args: ['-c', `echo $$ >${id}.pid; ${script}`],
          cwd: home,
          size: { cols: 80, rows: 24 },
        }
        const child = spawn(node, [join(dirname(telec), '../runner/main.ts')], {
          uid: bob,
          gid: bob,
          cwd: home,
          env: envOf(place, bob),
          stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
        })
        child.stdin?.end(JSON.stringify(task))
        const ended = once(child, 'exit')
        const said = child.stderr === null ? Promise.resolve('') : text(child.stderr)
        const report = child.stdio[3]
        assert.ok(report != null && 'on' in report)
        await once(report, 'data')
        return { id, ended, said, spool: join(home, id) }
      }
      const wait = 'echo up; while :; do sleep 0.05; done'
      const polite = await run(`trap "echo bye; exit 4" HUP; ${wait}`)
      const stubborn = await run(`trap "" HUP; ${wait}`)
      for (const { id } of [polite, stubborn]) {
        while ((await until(place, id, 'running')).transcriptBytes === 0) await delay(20)
      }
      await reconfigure(place, admin)
      for (const [{ id, ended, said, spool }, exit] of [
        [polite, { kind: 'exited', code: 4 }],
        [stubborn, { kind: 'signalled', signal: 'SIGKILL' }],
      ] as const) {
        assert.deepEqual(await ended, [0, null])
        assert.match(
          await said,
          new RegExp(`given up: .*${unknown}; what the service does not have of it stays in ${spool}`),
        )
        const pid = Number(readFileSync(join(home, `${id}.pid`), 'utf8'))
        assert.ok(!existsSync(`/proc/${pid}`), 'the program is gone')
        const chunks = readSpool(spool)
        const shown = chunks.filter(({ kind }) => kind === 'output').map(({ bytes }) => Buffer.from(bytes).toString())
        assert.ok(shown.join('').includes(`\r\n[TeleClaude stopped this session: cannot do this: ${unknown}]\r\n`))
        assert.equal(shown.join('').includes('bye'), exit.kind === 'exited')
        const last = chunks.at(-1)
        assert.deepEqual(JSON.parse(Buffer.from(last?.bytes ?? []).toString()), exit)
        await until(place, id, 'lost')
      }
    })

    test('a transcript that is cut off says why', async (t) => {
      await using own = await make(t)
      const { place } = own
      const store = await openStore({ engine: 'postgres', url: place.url })
      t.after(() => store.close())
      const owner = { person: 'bob', uid: bob, osUser: 'bob' }
      const { id } = await store.sessions.create(newSession({ host: 'h', owner }))
      for (let seq = 1; seq <= 128; seq++) {
        const chunk = { seq, kind: 'output', offsetUs: 1, bytes: Buffer.alloc(maxChunkBytes, 'x') } as const
        await store.transcripts.append([{ sessionId: id, chunks: [chunk], atUs: 1 }])
      }
      const child = start(place, bob, ['transcript', id, '--format', 'raw'])
      const ended = once(child, 'close') as Promise<[number]>
      const said = text(child.stderr)
      await once(child.stdout, 'readable')
      await reconfigure(place, admin)
      const got = await text(child.stdout)
      assert.ok(got.length < 128 * maxChunkBytes, String(got.length))
      assert.equal(await said, `telec: cannot do this: ${unknown}\n`)
      assert.deepEqual(await ended, [77, null])
    })

    test('an admin sees whose sessions are others’, lists those of one person, and ends one', async (t) => {
      await using own = await make(t)
      const { place } = own
      const started = await telec(
        place,
        bob,
        'run',
        '--detach',
        '--title',
        '[alice] \u001b[31mred',
        '--',
        'sleep',
        '300',
      )
      const bobs = started.stdout.trim()
      await telec(place, alice, 'run', '--title', 'her own', '--', 'true')
      const ls = async (uid: number, ...args: readonly string[]) => (await telec(place, uid, 'ls', ...args)).stdout
      const seen = await ls(alice)
      assert.match(seen, /running +\S+ +- +\[bob\] +\[alice\] ␛\[31mred\n/)
      assert.match(seen, /ended \(0\) +\S+ +- +her own\n/)
      assert.match(await ls(bob), /running +\S+ +- +\[alice\] ␛\[31mred\n/)
      assert.doesNotMatch(await ls(alice, '--person', 'bob'), /her own/)
      assert.doesNotMatch(await ls(alice, '--person', 'alice'), /red/)
      assert.equal(await ls(bob, '--person', 'alice'), 'There are no sessions of alice that you may see.\n')
      const { sessions } = JSON.parse(await ls(alice, '--json')) as SessionPage
      assert.deepEqual(
        sessions.map(({ own, owner }) => [own, owner.person]),
        [
          [true, 'alice'],
          [false, 'bob'],
        ],
      )
      assert.match((await telec(place, alice, 'show', bobs)).stdout, /^owner +bob \(.*, uid 54002\)$/m)
      assert.match((await telec(place, bob, 'show', bobs)).stdout, /^owner +bob \(.*, uid 54002\), you$/m)

      const stopped = await telec(place, alice, 'stop', bobs)
      assert.equal(stopped.stdout, `Stopped ${bobs}: ended (SIGHUP).\n`, stopped.stderr)
      assert.match((await telec(place, bob, 'show', bobs)).stdout, /^command 1 +\S+ stop by alice: done$/m)
      assert.equal((await new Client(place.socket).readiness()).status, 'ready')
    })
  })
}

function readSpool(directory: string) {
  const { spool, last } = Spool.open(directory)
  const reader = spool.reader()
  const frames = Array.from({ length: last?.seq ?? 0 }, (_, index) => reader.read(index + 1))
  return frames.flatMap((frame) => (frame === null ? [] : [decodeChunk(frame)]))
}
