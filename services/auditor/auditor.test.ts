// The auditor as a process of its own against a real PostgreSQL: on good days, killed, cut off, and lied to.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, rmdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { startPostgres, type TestPostgres } from '../../test/support/postgres-server.ts'
import { AuditAlarm } from './alarm.ts'
import { host, Site, shipWhenFree } from './test-site.ts'

describe('the auditor', () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres({ own: true })
  })
  after(() => server.stop())

  test('ships every entry as its canonical line, says how it is, and stops when told to', async () => {
    await using site = await Site.make(server)
    await site.appendOneByOne(3)
    const auditor = site.run()
    await auditor.becomes('shipping')
    await site.appendOneByOne(4)
    await site.until(() => site.size() === site.expected().length)
    assert.equal(site.text(), site.expected())
    assert.equal(statSync(site.file).mode & 0o777, 0o640)
    const healthy = await site.status()
    assert.deepEqual(
      [healthy.code, healthy.healthy, healthy.state, healthy.pid, healthy.head, healthy.lag, healthy.exposureSeconds],
      [0, true, 'shipping', auditor.child.pid, 7, 0, 0],
      healthy.problems.join(),
    )
    assert.match((await site.command('status')).stdout, /^healthy +yes$/m)
    assert.equal(await auditor.kill('SIGTERM'), 0)
    await site.append(1)
    const stopped = await site.status()
    assert.deepEqual([stopped.code, stopped.state, stopped.lag, stopped.fileEntry], [1, 'not running', 1, 7])
    assert.ok((stopped.exposureSeconds ?? 0) > 0)
    const verified = await site.verify()
    assert.deepEqual([verified.code, verified.holds, verified.same, verified.notShipped], [0, true, 7, 1])
    truncateSync(site.file, site.expected().length - 200)
    assert.match((await site.verify()).faults.join(), /the file .* ends in the middle of a line/)
    assert.match((await site.status()).problems.join(), /lacks entr/)
    const shipped = await site.command('once')
    assert.deepEqual([shipped.code, shipped.stdout], [0, 'shipped 2 entries: all there are\n'])
    assert.match(shipped.stderr, /has lost entry 7/)
    assert.equal(site.text(), site.expected())
    // By this it is known whose signature it was.
    const word = await site.store.auditor.lastWord(host)
    assert.deepEqual([word?.state, word?.vkey, word?.verifiedSeq], ['stopped', (await site.status()).key, 8])
  })

  test('killed again and again while entries come, it has each of them in the file exactly once', async () => {
    await using site = await Site.make(server)
    const stop = new AbortController()
    const appending = (async () => {
      while (!stop.signal.aborted) await site.appendOneByOne(1)
    })()
    for (let round = 1; round <= 8; round++) {
      const auditor = site.run()
      let changes = 0
      await site.until(() => ++changes > round * 2)
      assert.equal(await auditor.kill('SIGKILL'), 'SIGKILL')
    }
    stop.abort()
    await appending
    await shipWhenFree(site)
    assert.equal(site.text(), site.expected())
    assert.deepEqual((await site.verify()).holds, true)
  })

  test('a line that was torn is taken away and written again, wherever the tear is', async () => {
    await using site = await Site.make(server)
    await site.appendOneByOne(20)
    await site.shipOnce()
    const whole = site.expected()
    const beforeLast = site.expected(19).length
    for (const size of [0, 1, beforeLast - 1, beforeLast + 1, beforeLast + 100, whole.length - 1]) {
      truncateSync(site.file, size)
      await site.shipOnce()
      assert.equal(site.text(), whole, `cut at ${size}`)
    }
    // What a loss of power leaves of a write that was not confirmed.
    for (const rest of ['\0\0\0', '\0\0\0\n\0\0', '{"v":1}\n', site.line(21).slice(0, 50)]) {
      appendFileSync(site.file, rest)
      assert.equal(await site.shipOnce(), 0)
      assert.equal(site.text(), whole, JSON.stringify(rest))
    }
    // Written, and not confirmed to the database.
    await site.append(1)
    appendFileSync(site.file, site.line(21))
    assert.equal(await site.shipOnce(), 0)
    assert.equal(site.text(), site.expected())
    assert.equal(await site.store.audit.readCursor(host, 'file'), 21)
  })

  test('a file that is cut or moved away while it runs is completed from the database, and it says what was missing', async () => {
    await using site = await Site.make(server)
    await site.appendOneByOne(9)
    const auditor = site.run()
    await auditor.becomes('shipping')
    await site.until(() => site.size() === site.expected().length)
    truncateSync(site.file, site.expected(4).length)
    const { msg, from, to } = await auditor.says((line) => line.from !== undefined)
    assert.match(msg, /has lost entries 5 to 9/)
    assert.deepEqual([from, to], [5, 9])
    await site.until(() => site.size() === site.expected().length)
    await rm(site.file)
    assert.match((await auditor.says((line) => line.from !== undefined)).msg, /has lost entries 1 to 9/)
    await site.until(() => site.size() === site.expected().length)
    assert.equal(site.text(), site.expected())
    assert.equal(await auditor.kill('SIGINT'), 0)
  })

  test('a file that holds anything else is left as it is, and is an alarm', async () => {
    await using site = await Site.make(server)
    await site.appendOneByOne(5)
    await site.shipOnce()
    const whole = site.expected()
    const others = {
      'a changed line': whole.replace('"count":3', '"count":4'),
      'a duplicate': whole + site.line(5),
      'a line from the future': whole + site.line(7),
      'a line of another host': whole.replaceAll(host, 'elsewhere'),
      'a changed last line': whole.replace('"count":5', '"count":6'),
      'no entry in its midst': whole.replace(site.line(3), 'nonsense\n'),
      'an entry that the database has not': `${whole}${site.line(6)}`,
    }
    for (const [what, text] of Object.entries(others)) {
      writeFileSync(site.file, text)
      if (what !== 'a changed line') await assert.rejects(site.shipOnce(), AuditAlarm, what)
      assert.equal(site.text(), text, what)
      const verified = await site.verify()
      assert.deepEqual([verified.code, verified.holds], [1, false], what)
      assert.ok(verified.faults.length > 0)
    }
  })

  test('a database that was changed or set back is an alarm, and nothing more is shipped', async () => {
    await using site = await Site.make(server)
    await site.appendOneByOne(5)
    const auditor = site.run()
    await auditor.becomes('shipping')
    await site.until(() => site.size() === site.expected().length)
    await site.ask('DROP TRIGGER audit_entries_stay ON audit_entries')
    const kept = site.text()

    await site.ask('DELETE FROM audit_entries WHERE seq > 3; UPDATE audit_heads SET seq = 3')
    // The file has an entry a moment before the cursor says so.
    assert.match((await auditor.becomes('alarm')).msg, /the database has no entr(ies 4 to|y) 5 any more/)
    const status = await site.status()
    assert.deepEqual([status.code, status.state], [1, 'alarm'])
    assert.match(status.problems.join(), /entr(ies 4 to|y) 5/)
    const verified = await site.verify()
    assert.equal(verified.code, 1)
    assert.match(verified.faults.join('\n'), /^in the files and not in the database: entries 4 to 5$/m)
    assert.match(verified.faults.join('\n'), /an alarm of .* was not accepted: the database has no entr/)
    // Written anew, with other words: a fork.
    site.count = 3
    await site.append(3)
    await assert.rejects(shipWhenFree(site, auditor), /entry 5 of the database is not the one that was seen here/)
    assert.equal(site.text(), kept)
  })

  test('an entry that is none, or that is missing, stops the sink before it', async () => {
    await using site = await Site.make(server)
    await site.ask('DROP TRIGGER audit_entries_stay ON audit_entries')
    await site.appendOneByOne(6)
    await site.ask(`UPDATE audit_entries SET entry = '{"v":1}' WHERE seq = 5`)
    const once = await site.command('once')
    assert.equal(once.code, 1)
    assert.match(once.stderr, /^entry 5 of the database is not what an entry looks like/m)
    assert.equal(site.text(), site.expected(4))
    await site.ask('DELETE FROM audit_entries WHERE seq = 5')
    await assert.rejects(site.shipOnce(), /entry 5 should be in the database, and are not/)
    await site.ask('DELETE FROM audit_entries WHERE seq > 4')
    await assert.rejects(site.shipOnce(), /entries 5 to 6 should be in the database, and are not/)
    assert.equal(site.text(), site.expected(4))
  })

  test('a second auditor of the host is refused, and told which one runs', async () => {
    await using site = await Site.make(server)
    const auditor = site.run()
    await auditor.becomes('shipping')
    for (const command of ['run', 'once']) {
      const second = await site.command(command)
      assert.equal(second.code, 69)
      assert.match(second.stderr, new RegExp(`teleclaude auditor pid ${auditor.child.pid}\\b.* on auditor of ${host}`))
    }
    assert.equal((await site.status()).state, 'shipping')
  })

  test('without room or without its file it waits, says so once, and goes on when that is mended', async () => {
    await using site = await Site.make(server)
    mkdirSync(site.file)
    const auditor = site.run()
    await auditor.becomes('waiting')
    assert.equal((await site.status()).code, 1)
    rmdirSync(site.file)
    await auditor.becomes('shipping')
    if (process.platform === 'linux') {
      const limit = (bytes: string) =>
        execFileSync('prlimit', ['--pid', String(auditor.child.pid), `--fsize=${bytes}:`])
      limit('5000')
      await site.appendOneByOne(60)
      assert.match((await auditor.becomes('waiting')).msg, /EFBIG/)
      assert.ok(site.size() < site.expected().length)
      limit('unlimited')
      await auditor.becomes('shipping')
    }
    await site.appendOneByOne(5)
    await site.until(() => site.size() === site.expected().length)
    assert.equal(site.text(), site.expected())
    const states = auditor.said.map((line) => line.state).filter((state) => state !== undefined)
    const once = ['waiting', 'shipping']
    assert.deepEqual(states, process.platform === 'linux' ? [...once, ...once] : once)
  })

  test('started before the schema is there, and with the database away for a while, it waits and goes on', async () => {
    await using site = await Site.make(server, { withSchema: false })
    const auditor = site.run()
    assert.match((await auditor.becomes('waiting')).msg, /apply the migrations/)
    await site.prepare()
    await auditor.becomes('shipping')

    const cutOff = async () => {
      await site.ask(`ALTER ROLE ${site.role} NOLOGIN`)
      await site.ask(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${site.role}'`)
    }
    await cutOff()
    await auditor.becomes('waiting')
    await site.appendOneByOne(7)
    const status = await site.status()
    assert.deepEqual([status.code, status.head, status.fileEntry], [1, null, 0])
    assert.match(status.problems.join(), /cannot reach the database/)
    await site.ask(`ALTER ROLE ${site.role} LOGIN`)
    await auditor.becomes('shipping')
    await site.until(() => site.size() === site.expected().length)
    assert.equal(site.text(), site.expected())

    await cutOff()
    await auditor.becomes('waiting')
    assert.equal(await auditor.kill('SIGTERM'), 0, 'it stops without the database, too')
  })
})
