// What the auditor does when the database, its own directory or the keys are not what they were: it signs for nothing of it, says
// what is wrong with which entries, and goes on when an admin has accepted that.

import assert from 'node:assert/strict'
import { chmodSync, copyFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { verifyCosignature } from '@teleclaude/core/checkpoint.ts'
import { parseVerifierKey } from '@teleclaude/core/signed-note.ts'
import type { AlarmKind } from '@teleclaude/store/audit-contract.ts'
import { startPostgres, type TestPostgres } from '../../test/support/postgres-server.ts'
import { acceptLog } from './accept.ts'
import { AuditAlarm } from './alarm.ts'
import { makeSigner, SignedLog, vkeyOf } from './test-log.ts'
import { host, Site } from './test-site.ts'

describe('an auditor', () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres({ own: true })
  })
  after(() => server.stop())

  async function begin(): Promise<AsyncDisposable & { site: Site; log: SignedLog }> {
    const site = await Site.make(server)
    const log = await SignedLog.make(site)
    return { site, log, [Symbol.asyncDispose]: () => site[Symbol.asyncDispose]() }
  }

  async function cosignedSize(site: Site): Promise<number> {
    return (await site.store.audit.findCheckpoint(host, 'cosigned'))?.size ?? 0
  }

  /** That it is an alarm of that kind about those entries, here, in the database and in what its commands say. */
  async function raises(site: Site, kind: AlarmKind, range: readonly [number, number], says: RegExp): Promise<void> {
    const before = await cosignedSize(site)
    await assert.rejects(site.shipOnce(), (error) => {
      assert.ok(error instanceof AuditAlarm, String(error))
      assert.deepEqual([error.kind, error.range], [kind, { from: range[0], to: range[1] }], error.message)
      assert.match(error.message, says)
      return true
    })
    const alarms = await site.store.auditor.listAlarms(host, { unacknowledged: true })
    assert.deepEqual(
      alarms.map((alarm) => [alarm.kind, alarm.fromSeq, alarm.toSeq]),
      [[kind, ...range]],
    )
    assert.ok((await cosignedSize(site)) <= before, 'it has cosigned nothing of it')
    const status = await site.status()
    assert.deepEqual([status.code, status.alarms[0]?.kind], [1, kind])
    const verified = await site.verify()
    assert.deepEqual([verified.code, verified.holds], [1, false])
  }

  test('cosigns what it has checked, with a key of its own that nobody else can read', async () => {
    await using made = await begin()
    const { site, log } = made
    await log.append(20)
    await log.sign()
    assert.equal(await site.shipOnce(), 21)
    const checkpoint = await site.store.audit.findCheckpoint(host, 'cosigned')
    const word = JSON.parse(readFileSync(join(site.directory, 'auditor-state.json'), 'utf8'))
    assert.equal(word.cosigned.size, 21)
    const verified = await site.verify()
    assert.deepEqual(
      [verified.code, verified.faults, verified.entries, verified.checkpoints, verified.cosigned, verified.same],
      [0, [], 21, 1, 21, 21],
    )
    assert.ok(checkpoint !== null)
    assert.equal(checkpoint.cosignatures.length, 1)
    const auditor = site.run()
    await auditor.becomes('shipping')
    await auditor.kill('SIGTERM')
    const said = await site.store.auditor.lastWord(host)
    assert.deepEqual([said?.state, said?.verifiedSeq], ['stopped', 21])
    const vkey = parseVerifierKey(said?.vkey ?? '')
    assert.ok(vkey !== null)
    assert.ok(verifyCosignature(checkpoint.note, checkpoint.cosignatures[0]?.line ?? '', vkey) !== null)
    const key = join(site.directory, 'auditor.key')
    chmodSync(key, 0o640)
    const refused = await site.command('once')
    assert.equal(refused.code, 78)
    assert.match(refused.stderr, /auditor\.key: it can be read by its group.*chmod 600/)
    writeFileSync(key, 'no key', { mode: 0o600 })
    chmodSync(key, 0o600)
    assert.match((await site.command('once')).stderr, /is no Ed25519 key/)
  })

  test('a running one cosigns each checkpoint as it comes', async () => {
    await using made = await begin()
    const { site, log } = made
    const auditor = site.run()
    await auditor.becomes('shipping')
    for (let round = 1; round <= 3; round++) {
      const cosigned = Promise.withResolvers<void>()
      await log.append(3)
      const size = await log.sign()
      const listening = site.store.listen(host, (hint) => {
        if (hint !== 'auditor') return
        cosignedSize(site).then((now) => now === size && cosigned.resolve(), cosigned.reject)
      })
      if ((await cosignedSize(site)) === size) cosigned.resolve()
      await cosigned.promise
      await listening.close()
    }
    assert.equal(await auditor.kill('SIGTERM'), 0)
    assert.equal((await site.status()).cosigned, 10)
  })

  test('a log that was set back is an alarm, also where it has grown again', async () => {
    await using made = await begin()
    const { site, log } = made
    await log.append(4)
    const restore = await log.backUp()
    await log.append(5)
    await log.sign()
    await site.shipOnce()
    await restore()
    await raises(site, 'rollback', [6, 10], /has no entries 6 to 10 any more/)
    await log.append(9)
    await log.sign()
    await assert.rejects(site.shipOnce(), /entry 10 of the database is not the one that was seen here/)
    assert.equal(await cosignedSize(site), 0)
    assert.equal(site.text().split('\n').length - 1, 10, 'nothing of the other log is shipped')
  })

  test('a changed entry that it has not seen yet is one that the signature does not cover', async () => {
    await using made = await begin()
    const { site, log } = made
    await log.append(2)
    await log.sign()
    await site.shipOnce()
    await log.append(5)
    await log.sign()
    await log.tamper(
      `UPDATE audit_entries SET entry = convert_to(replace(convert_from(entry, 'UTF8'), '"count":4', '"count":7'), 'UTF8') WHERE seq = 5`,
    )
    await raises(site, 'fork', [4, 8], /there are two logs/)
    assert.equal(await cosignedSize(site), 3)
  })

  test('a changed entry that it has seen is found by verify', async () => {
    await using made = await begin()
    const { site, log } = made
    await log.append(7)
    await log.sign()
    await site.shipOnce()
    await log.tamper(
      `UPDATE audit_entries SET entry = convert_to(replace(convert_from(entry, 'UTF8'), '"count":4', '"count":7'), 'UTF8') WHERE seq = 5`,
    )
    const { code, faults } = await site.verify()
    assert.equal(code, 1)
    assert.match(faults.join('\n'), /entries 1 to 8 of the database are not those that it saw/)
    assert.match(faults.join('\n'), /not the same in the files and in the database: entry 5/)
  })

  test('a missing entry, one that is none, and one filed under another name are named', async () => {
    const cases: readonly [AlarmKind, string, RegExp][] = [
      ['gap', 'DELETE FROM audit_entries WHERE seq = 6', /entry 6 should be in the database/],
      ['broken-entry', `UPDATE audit_entries SET entry = '{"v":1}' WHERE seq = 6`, /not what an entry looks like/],
      ['broken-entry', `UPDATE audit_entries SET actor = 'mallory' WHERE seq = 6`, /filed under what it does not say/],
      [
        'broken-entry',
        'UPDATE audit_entries SET entry = (SELECT entry FROM audit_entries WHERE seq = 5) WHERE seq = 6',
        /says that it is entry 5/,
      ],
    ]
    for (const [kind, statement, says] of cases) {
      await using made = await begin()
      const { site, log } = made
      await log.append(7)
      await log.sign()
      await log.tamper(statement)
      await raises(site, kind, [6, 6], says)
      assert.equal(await cosignedSize(site), 0)
    }
  })

  test('a checkpoint by another key, of another root, of more than there is, or that is none is never cosigned', async () => {
    await using made = await begin()
    const { site, log } = made
    await log.append(3)
    await log.sign(makeSigner())
    await raises(site, 'bad-signature', [1, 4], /not signed by a key of the log/)
    await log.tamper('DELETE FROM audit_checkpoints')
    await log.put(3, new Uint8Array(32))
    await assert.rejects(site.shipOnce(), /the checkpoint of 3 entries is not of those that were seen here/)
    await log.tamper('DELETE FROM audit_checkpoints')
    await log.put(9, new Uint8Array(32))
    await assert.rejects(site.shipOnce(), /has a checkpoint of 9 entries, and 4 entries: it was set back/)
    await log.tamper('DELETE FROM audit_checkpoints')
    await log.sign()
    await log.tamper(`UPDATE audit_checkpoints SET note = replace(note, 'teleclaude.audit', 'teleclaude.other')`)
    await assert.rejects(site.shipOnce(), /the checkpoint of 4 entries/)
    assert.equal(await cosignedSize(site), 0)
  })

  test('a new key counts once the old one has signed for the entry that names it', async () => {
    await using made = await begin()
    const { site, log } = made
    await log.append(2)
    await log.sign()
    const old = log.signer
    await log.beginEpoch(makeSigner())
    await log.sign(old)
    await log.append(2)
    await log.sign()
    await site.shipOnce()
    assert.equal(await cosignedSize(site), 6)
    assert.equal((await site.verify()).code, 0)
    await log.append(1)
    await log.sign(old)
    await assert.rejects(site.shipOnce(), /not signed by a key of the log/, 'the old one is over')
  })

  test('a key that the old one has not signed for is an alarm until an admin accepts it', async () => {
    for (const lost of [false, true]) {
      await using made = await begin()
      const { site, log } = made
      await log.append(2)
      await log.sign()
      await site.shipOnce()
      await log.beginEpoch(makeSigner(), { lost })
      await log.append(2)
      await log.sign()
      const why = lost ? /takes the place of one that was lost/ : /has not signed for/
      await raises(site, 'bad-signature', [4, 6], why)
      const other = await site.command('accept', '--reason', 'the disk of the key broke', '--json')
      assert.equal(other.code, 0, other.stderr)
      const accepted = JSON.parse(other.stdout)
      assert.deepEqual([accepted.size, accepted.vkey, accepted.fault], [6, log.signer && vkeyOf(log.signer), null])
      await log.append(1)
      await log.sign()
      await site.shipOnce()
      assert.equal(await cosignedSize(site), 7)
      assert.deepEqual((await site.verify()).faults, [])
      assert.ok(readdirSync(site.directory).some((name) => /^auditor-state\.\d{8}T\d{6}Z\.json$/.test(name)))
    }
  })

  test('that has lost its directory verifies all anew, and trusts no signature of its former self', async () => {
    await using made = await begin()
    const { site, log } = made
    await log.append(4)
    await log.sign()
    await site.shipOnce()
    for (const name of readdirSync(site.directory)) rmSync(join(site.directory, name))
    await log.append(2)
    await log.sign()
    await assert.rejects(site.shipOnce(), /in the name of this auditor, by another key/)
    assert.equal(site.text().split('\n').length - 1, 7, 'the file is written anew')
    assert.equal(await cosignedSize(site), 5)
    await acceptLog(site.options(), 'the volume was lost')
    await log.append(1)
    await log.sign()
    await site.shipOnce()
    assert.equal(await cosignedSize(site), 8)
    assert.deepEqual((await site.verify()).faults, [])
  })

  test('that is restored from an old backup catches up, and is not led away from what it has signed since', async () => {
    await using made = await begin()
    const { site, log } = made
    await log.append(4)
    await log.sign()
    await site.shipOnce()
    const restoreDatabase = await log.backUp()
    const [state, kept] = [join(site.directory, 'auditor-state.json'), join(site.directory, 'kept')]
    copyFileSync(state, kept)
    await log.append(4)
    await log.sign()
    await site.shipOnce()
    copyFileSync(kept, state)
    await log.append(1)
    await log.sign()
    await site.shipOnce()
    assert.equal(await cosignedSize(site), 10)
    // An old state, an old file and an old database, but for what it has signed.
    copyFileSync(kept, state)
    rmSync(site.file)
    await restoreDatabase()
    await site.store.auditor.cosign(host, { size: 5, signer: 'x', line: 'x', atUs: 1 })
    await site.shipOnce()
    await site.store.audit.append(
      host,
      [{ action: 'session.started', actor: { kind: 'service', name: 'api' }, session: null, detail: {} }],
      1,
    )
    await log.sign()
    await site.shipOnce()
    assert.equal(await cosignedSize(site), 6, 'nothing on its volume or in the database tells of the other log')
  })

  test('state of another host, or that is none, is refused and not overwritten', async () => {
    await using made = await begin()
    const { site } = made
    const state = join(site.directory, 'auditor-state.json')
    await site.shipOnce()
    const text = readFileSync(state, 'utf8')
    for (const [other, says] of [
      [text.replace(`"${host}"`, '"elsewhere"'), /that of the host elsewhere/],
      [text.slice(0, 50), /not what an auditor writes/],
      [text.replace('"size":1', '"size":3'), /not what an auditor writes/],
    ] as const) {
      writeFileSync(state, other)
      const { code, stderr } = await site.command('once')
      assert.equal(code, 78, stderr)
      assert.match(stderr, says)
      assert.equal(readFileSync(state, 'utf8'), other)
    }
  })

  test('an accepted fork goes on: files of the other log are kept, and sinks get what is new to them', async () => {
    await using made = await begin()
    const { site, log } = made
    await log.append(4)
    const restore = await log.backUp()
    await log.append(3)
    await site.shipOnce()
    await restore()
    site.count = 100
    await log.append(5)
    await log.sign()
    await assert.rejects(site.shipOnce(), AuditAlarm)
    const { keptFiles, fault, size } = await acceptLog(site.options(), 'restored from the backup of yesterday')
    assert.deepEqual([fault, size], [null, 10])
    assert.ok(keptFiles !== null && existsSync(join(keptFiles, 'audit.jsonl')))
    await log.append(1)
    await log.sign()
    await site.shipOnce()
    assert.equal(await cosignedSize(site), 11)
    const { faults, same } = await site.verify()
    assert.deepEqual([faults, same], [[], 11])
  })

  test('one that runs accepts the log when it is asked to, and goes on', async () => {
    await using made = await begin()
    const { site, log } = made
    await log.append(2)
    await log.sign()
    const auditor = site.run()
    await auditor.becomes('shipping')
    await log.beginEpoch(makeSigner(), { lost: true })
    await log.sign()
    await auditor.becomes('alarm')
    const { code, stdout, stderr } = await site.command('accept', '--reason', 'the disk of the key broke')
    assert.equal(code, 0, stderr)
    assert.match(stdout, /the log of 4 entries is accepted as it is now/)
    await auditor.becomes('shipping')
    await log.append(1)
    await log.sign()
    while ((await cosignedSize(site)) !== 5);
    assert.equal(await auditor.kill('SIGTERM'), 0)
    assert.deepEqual((await site.verify()).faults, [])
    const refused = await site.command('accept', '--reason', 'two\nlines')
    assert.equal(refused.code, 64)
  })

  test('a log with a hole in it can be accepted as it is, and everything after it is checked again', async () => {
    await using made = await begin()
    const { site, log } = made
    await log.append(6)
    await log.sign()
    await site.shipOnce()
    await log.append(6)
    await log.tamper('DELETE FROM audit_entries WHERE seq = 9')
    await log.sign()
    await assert.rejects(site.shipOnce(), /entry 9 should be in the database/)
    const { fault } = await acceptLog(site.options(), 'entry 9 is gone for good')
    assert.match(fault ?? '', /entry 9/)
    await log.append(2)
    await log.sign()
    assert.equal(await cosignedSize(site), 7)
    await site.shipOnce()
    assert.equal(await cosignedSize(site), 15)
    const { code, faults, acceptedAsTheyAre } = await site.verify()
    assert.deepEqual([code, faults, acceptedAsTheyAre], [0, [], 13])
    await log.append(2)
    await log.tamper('DELETE FROM audit_entries WHERE seq = 16')
    await assert.rejects(site.shipOnce(), AuditAlarm)
  })
})
