// `telec search`, as its user has it: on both engines, over sessions that are over and one that goes on.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { engines, Installation } from './support/installation.ts'

for (const engine of engines) {
  describe(`on ${engine}`, { timeout: 120_000 }, () => {
    let own: Installation
    before(async () => {
      own = await Installation.make(engine)
    })
    after(() => own[Symbol.asyncDispose]())

    async function run(title: string, script: string): Promise<string> {
      const ran = await own.telec(['run', '--title', title, '--', 'sh', '-c', script])
      assert.equal(ran.code, 0, ran.stderr)
      return (await own.list())[0]?.id ?? assert.fail()
    }

    async function search(...words: readonly string[]) {
      const { code, stdout, stderr } = await own.telec(['search', ...words])
      return { code, stdout: stdout.toString(), stderr }
    }

    test('finds in which sessions and lines a text stood on the screen, newest first, colours and wrapping aside', async () => {
      const none = await search('needle')
      assert.deepEqual([none.code, none.stdout], [1, ''])
      assert.match(none.stderr, /there are none/)
      const first = await run('first', 'printf "hay\\na nee\\033[31mdle\\033[m here\\nNEEDLE\\n"')
      const long = 'x'.repeat(90)
      const second = await run('second', `echo hay; printf '${long}needle\\n'; seq 1 30 | sed s/^/needle/`)
      await run('third', 'echo hay')
      const found = await search('needle', '-n', '3')
      assert.equal(found.code, 0, found.stderr)
      assert.equal(
        found.stdout,
        `${second.slice(0, 8)}  second (ended (0))\n  2  ${long}needle\n  3  needle1\n  4  needle2\n  and more: -n shows them\n` +
          `${first.slice(0, 8)}  first (ended (0))\n  2  a needle here\n`,
      )
      const json = await search('--json', '-i', 'NeedlE', first.slice(0, 8))
      assert.deepEqual(JSON.parse(json.stdout), {
        searched: 1,
        found: [
          {
            ...{ session: first, owner: (await own.client.whoami()).person, title: 'first', more: false },
            matches: [
              { line: 2, text: 'a needle here' },
              { line: 3, text: 'NEEDLE' },
            ],
          },
        ],
      })
      const nothing = await search('no such thing')
      assert.deepEqual([nothing.code, nothing.stdout], [1, ''])
      assert.match(nothing.stderr, /^It stands in no line of 3 sessions\.\n$/)
    })

    test('what acts on a terminal is none of what is found', async () => {
      await run('hostile', 'printf "mark \\033]0;title\\007\\033[6n\\302\\233 \\342\\200\\256over\\n"')
      const found = await search('mark')
      assert.match(found.stdout, /^ {2}1 {2}mark/m)
      assert.doesNotMatch(found.stdout.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u)
    })

    test('a session that goes on is searched as far as it is recorded', async () => {
      const ran = await own.telec(['run', '--detach', '--', 'sh', '-c', 'echo going on; exec cat'])
      const id = ran.stdout.toString().trim()
      await own.until(id, ({ status }) => status === 'running')
      while ((await search('going on', id)).code !== 0);
      assert.equal((await own.telec(['stop', '--force', id])).code, 0)
    })

    test('what can not be searched for is said', async () => {
      for (const text of ['', 'two\nlines', '\u001b[m']) {
        const ran = await search(text)
        assert.deepEqual([ran.code, ran.stdout], [64, ''])
        assert.match(ran.stderr, /a text of one line/)
      }
      assert.equal((await search('x', 'ffffffff')).code, 65)
      assert.match((await search('x', '--reason', 'y')).stderr, /your own sessions need none\nName the session/)
      assert.equal((await search('-n', '0', 'x')).code, 64)
      assert.equal((await search('-n', '10000', 'x')).code, 64)
    })
  })
}
