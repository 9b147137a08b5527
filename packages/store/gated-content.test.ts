// Migration 0006_gated_content on databases with audit logs in them, on both real engines.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { encodeAuditEntry } from '@teleclaude/core/audit.ts'
import { formatInstant } from '@teleclaude/core/instant.ts'
import { emptyFrontier, encodeFrontier, leafHash, nodeHash, TreeBuilder } from '@teleclaude/core/merkle.ts'
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

const name = '0006_gated_content'
const older = await migrationsBefore(name)
const atUs = 1_769_853_600_000_001

/** As the program of before wrote it: without an epoch. */
function oldEntry(host: string, seq: number): Buffer {
  const person = seq % 2 === 0 ? 'Zoë' : null
  const bytes = encodeAuditEntry({
    host,
    epoch: 0,
    seq,
    atUs,
    action: 'session.started',
    actor: seq === 1 ? { kind: 'service', name: 'api' } : { kind: 'caller', person, osUser: 'z', uid: 1, pid: 2 },
    session: seq % 3 === 0 ? { id: 'a-session', owner: 'bob' } : null,
    // What PostgreSQL's jsonb does not hold, and what looks like it.
    detail: { text: String.raw`NUL ${'\0'}, \u0000 and \\u0000`, ü: "it's" },
  })
  return Buffer.from(Buffer.from(bytes).toString().replace('"epoch":0,', ''))
}

const found = (seq: number) => ({
  action: 'session.started',
  actor: seq !== 1 && seq % 2 === 0 ? 'Zoë' : null,
  owner: seq % 3 === 0 ? 'bob' : null,
  sessionId: seq % 3 === 0 ? 'a-session' : null,
})

for (const engineName of engineNames) {
  describe(`making room for gated content in ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    const isSqlite = engineName === 'sqlite'
    const blob = (bytes: Uint8Array) => {
      const hex = Buffer.from(bytes).toString('hex')
      return isSqlite ? `x'${hex}'` : String.raw`'\x${hex}'`
    }
    const at = isSqlite ? String(atUs) : `'${formatInstant(atUs)}'`

    /** A log of 600 entries, and one of a single entry, which is none. */
    async function createOlder(): Promise<{ readonly target: StoreTarget; readonly entries: readonly Buffer[] }> {
      const target = await engine.createTarget()
      await migrate(target, { directory: older })
      const entries = Array.from({ length: 600 }, (_, index) => oldEntry('h', index + 1))
      const rows = entries.map((bytes, index) => `('h', ${index + 1}, ${at}, ${blob(bytes)})`)
      rows.push(`('broken', 1, ${at}, ${blob(Buffer.from([0xff, 0x00, 0x7b]))})`)
      await queryRows(target, `INSERT INTO audit_entries (host, seq, at, entry) VALUES ${rows.join(', ')}`)
      await queryRows(target, "INSERT INTO audit_heads (host, seq) VALUES ('h', 600), ('broken', 1)")
      return { target, entries }
    }

    test('entries stay byte for byte, and are found by what they say', async () => {
      const { target, entries } = await createOlder()
      assert.deepEqual((await migrate(target)).applied.slice(0, 1), [name])
      const store = await openStore(target)
      const read = await store.audit.read('h', { afterSeq: 0, limit: 1000 })
      assert.deepEqual(
        read.map(({ seq, bytes, index }) => ({ seq, bytes: Buffer.from(bytes), index })),
        entries.map((bytes, index) => ({ seq: index + 1, bytes, index: found(index + 1) })),
      )
      const scope = { kind: 'person', person: 'bob' } as const
      assert.deepEqual(
        (await store.audit.find('h', { scope, limit: 2 })).map(({ seq }) => seq),
        [600, 597],
      )
      await assert.rejects(queryRows(target, "UPDATE audit_entries SET action = 'x'"), /cannot update audit entries/)
      await store.close()
    })

    test('the tree of what is there is made at the next append, as if it had always been one', async () => {
      const { target, entries } = await createOlder()
      await migrate(target)
      const store = await openStore(target)
      const tree = TreeBuilder.from(emptyFrontier)
      for (const bytes of entries) tree.append(leafHash(bytes))
      const before = await store.audit.readHead('h')
      assert.deepEqual([before.epoch, before.frontier.size], [0, 600])
      assert.deepEqual(encodeFrontier(before.frontier), encodeFrontier(tree.frontier()))
      const stored = await queryRows(target, "SELECT host FROM audit_heads WHERE host = 'h' AND tree IS NULL")
      assert.equal(stored.length, 1, 'reading has made nothing')
      const event = {
        action: 'key.changed',
        actor: { kind: 'service', name: 'api' },
        session: null,
        detail: {},
      } as const
      assert.equal(await store.audit.beginEpoch('h', 0, event, atUs), 601)
      assert.equal(await store.audit.append('h', [event, event], atUs), 603)
      const added = await store.audit.read('h', { afterSeq: 600, limit: 10 })
      for (const { bytes } of added) tree.append(leafHash(bytes))
      const head = await store.audit.readHead('h')
      assert.equal(head.epoch, 1)
      assert.deepEqual(encodeFrontier(head.frontier), encodeFrontier(tree.frontier()))
      // By hand: the root over entries 257 to 512, level by level.
      let hashes = entries.slice(256, 512).map(leafHash)
      while (hashes.length > 1)
        hashes = hashes.flatMap((left, index) => {
          const right = hashes[index + 1]
          return index % 2 === 1 || right === undefined ? [] : [nodeHash(left, right)]
        })
      const [subtree] = await store.audit.readSubtrees('h', [{ level: 8, index: 1 }])
      assert.deepEqual(Buffer.from(subtree ?? []), Buffer.from(hashes[0] ?? []))
      await store.close()
    })

    test('what is no entry keeps nobody from anything, and is in the tree as it is', async () => {
      const { target } = await createOlder()
      await migrate(target)
      const store = await openStore(target)
      const [broken] = await store.audit.read('broken', { afterSeq: 0, limit: 10 })
      assert.ok(broken)
      assert.deepEqual(broken.index, { action: '', actor: null, owner: null, sessionId: null })
      const { frontier } = await store.audit.readHead('broken')
      assert.deepEqual(Buffer.from(encodeFrontier(frontier)), Buffer.from(leafHash(broken.bytes)))
      await store.close()
    })

    test('sessions go on, without a sealed chunk', async () => {
      const { target } = await createOlder()
      await migrate(target)
      const store = await openStore(target)
      const { id } = await store.sessions.create(newSession())
      assert.equal(await store.transcripts.sealedSeq(id), 0)
      await store.close()
    })

    test('kill -9 before the commit leaves everything as it was, and running again is enough', async () => {
      const { target } = await createOlder()
      assert.equal(await ending(spawnScript(killedScript, JSON.stringify({ target, name }))), 'SIGKILL')
      await assert.rejects(queryRows(target, 'SELECT action FROM audit_entries'))
      await assert.rejects(queryRows(target, 'DELETE FROM audit_entries'), /only ever added to/)
      assert.deepEqual((await migrate(target)).applied.slice(0, 1), [name])
      await assert.rejects(queryRows(target, 'DELETE FROM audit_entries'), /only ever added to/)
    })
  })
}
