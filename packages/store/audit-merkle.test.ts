// The audit log as a tree, its epochs, the texts beside it, and what is signed of it, on both real engines.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type AuditEvent, encodeAuditEntry, parseAuditEntry } from '@teleclaude/core/audit.ts'
import { commitmentHolds } from '@teleclaude/core/commitment.ts'
import {
  consistencyProof,
  emptyFrontier,
  type Frontier,
  type Hash,
  inclusionProof,
  leafHash,
  type Subtree,
  TreeBuilder,
  verifyConsistency,
  verifyInclusion,
} from '@teleclaude/core/merkle.ts'
import type { IndexedAuditEntry } from './audit-contract.ts'
import type { Store, StoreTarget } from './contract.ts'
import { openStore } from './open.ts'
import {
  ending,
  engineNames,
  firstLine,
  isStoreError,
  queryRows,
  spawnScript,
  startEngine,
  type TestEngine,
} from './test-engines.ts'

const host = 'build-box'
const atUs = 1_769_853_600_000_001
const api = { kind: 'service', name: 'api' } as const

function fact(detail: AuditEvent['detail'] = {}): AuditEvent {
  return { action: 'request.denied', actor: api, session: null, detail }
}
const newKey: AuditEvent = { action: 'key.changed', actor: api, session: null, detail: { vkey: 'a key' } }

const facts = (count: number): [AuditEvent, ...AuditEvent[]] => [
  fact(),
  ...Array.from({ length: count - 1 }, (_, index) => fact({ index })),
]

async function readAll(store: Store): Promise<readonly IndexedAuditEntry[]> {
  const entries: IndexedAuditEntry[] = []
  for (;;) {
    const more = await store.audit.read(host, { afterSeq: entries.at(-1)?.seq ?? 0, limit: 1000 })
    if (more.length === 0) return entries
    entries.push(...more)
  }
}

function treeOf(entries: readonly { readonly bytes: Uint8Array }[], size = entries.length): TreeBuilder {
  const tree = TreeBuilder.from(emptyFrontier)
  for (const { bytes } of entries.slice(0, size)) tree.append(leafHash(bytes))
  return tree
}

/** Some hashes are a Buffer, and some are not. */
const plainly = ({ size, hashes }: Frontier) => [size, ...hashes.map((hash) => Buffer.from(hash).toString('hex'))]

/** Fails unless the log is numbered without a gap, its head is the tree of all entries, and epochs change with a key alone. */
async function assertWhole(store: Store): Promise<readonly IndexedAuditEntry[]> {
  const entries = await readAll(store)
  const head = await store.audit.readHead(host)
  assert.deepEqual(plainly(head.frontier), plainly(treeOf(entries).frontier()))
  let epoch = 0
  for (const [index, { seq, bytes }] of entries.entries()) {
    assert.equal(seq, index + 1)
    const said = parseAuditEntry(bytes)
    assert.ok(said)
    assert.deepEqual([said.host, said.seq], [host, seq])
    if (said.action === 'key.changed') epoch += 1
    assert.equal(said.epoch, epoch)
  }
  assert.equal(head.epoch, epoch)
  return entries
}

/** Prints a line once it has appended, then goes on: mostly appends, and a new epoch now and then. */
const appendingScript = `
  import { openStore } from './open.ts'
  const { target, host, count } = JSON.parse(process.argv[1])
  const store = await openStore(target)
  const actor = { kind: 'service', name: 'api' }
  async function go() {
    for (let n = 1; n <= count; n++) {
      if (n % 10 === 0) {
        const { epoch } = await store.audit.readHead(host)
        await store.audit.beginEpoch(host, epoch, { action: 'key.changed', actor, session: null, detail: { n } }, n)
      } else await store.audit.append(host, [{ action: 'session.started', actor, session: null, detail: { n } }], n)
      process.stdout.write(n + '\\n')
    }
  }
  await Promise.all([go(), go(), go(), go()])
  await store.close()`

const spawnAppender = (target: StoreTarget, count: number) =>
  spawnScript(appendingScript, JSON.stringify({ target, host, count }))

for (const engineName of engineNames) {
  describe(`the audit log's tree on ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    test('the head is the tree of all entries after every append, whoever appends', async () => {
      const { store, target } = await engine.createStore()
      assert.deepEqual(await store.audit.readHead(host), { epoch: 0, frontier: emptyFrontier })
      const other = await openStore(target)
      for (const [index, count] of [1, 2, 253, 1, 300, 7, 460].entries()) {
        await (index % 2 === 0 ? store : other).audit.append(host, facts(count), atUs)
        await assertWhole(store)
      }
      await other.close()
    })

    test('an entry is found by what its bytes say', async () => {
      const { store } = await engine.createStore()
      const actor = { kind: 'caller', person: 'Zoë', osUser: null, uid: 1, pid: 2 } as const
      const session = { id: 'a-session', owner: 'bob' }
      await store.audit.append(
        host,
        [
          fact(),
          { action: 'session.stopped', actor, session, detail: {} },
          { ...fact(), actor: { ...actor, person: null } },
        ],
        atUs,
      )
      assert.deepEqual(
        (await readAll(store)).map(({ index }) => index),
        [
          { action: 'request.denied', actor: null, owner: null, sessionId: null },
          { action: 'session.stopped', actor: 'Zoë', owner: 'bob', sessionId: 'a-session' },
          { action: 'request.denied', actor: null, owner: null, sessionId: null },
        ],
      )
    })

    test('a name that can not be found by is refused, and fails nobody else', async () => {
      const { store } = await engine.createStore()
      const outcomes = await Promise.allSettled(
        ['x'.repeat(255), 'x'.repeat(256), 'a\0b', '\ud800'].map((owner) =>
          store.audit.append(host, [{ ...fact(), session: { id: 's', owner } }], atUs),
        ),
      )
      assert.deepEqual(
        outcomes.map((outcome) => (outcome.status === 'fulfilled' ? outcome.value : outcome.reason.name)),
        [1, 'RangeError', 'RangeError', 'RangeError'],
      )
      await assertWhole(store)
    })

    test('a new epoch begins with its entry, once', async () => {
      const { store } = await engine.createStore()
      assert.equal(await store.audit.beginEpoch(host, 1, newKey, atUs), null)
      assert.equal(await store.audit.beginEpoch(host, 0, newKey, atUs), 1)
      assert.equal(await store.audit.append(host, [fact()], atUs), 2)
      assert.equal(await store.audit.beginEpoch(host, 0, newKey, atUs), null)
      const begun = await Promise.all([1, 1, 1, 2].map((from) => store.audit.beginEpoch(host, from, newKey, atUs)))
      assert.equal(begun.filter((seq) => seq === 3).length, 1)
      const [, , third] = await assertWhole(store)
      const bytes = encodeAuditEntry({ ...newKey, host, epoch: 2, seq: 3, atUs })
      assert.deepEqual(Buffer.from(third?.bytes ?? []), bytes)
      const other = { ...newKey, action: 'service.started' } as const
      await assert.rejects(store.audit.beginEpoch(host, 2, other, atUs), RangeError)
      await assert.rejects(store.audit.beginEpoch(host, 2, { ...newKey, texts: { vkey: 'x' } }, atUs), RangeError)
    })

    test('appends and new epochs in two processes leave no gap, and each epoch has one beginning', async () => {
      const { store, target } = await engine.createStore()
      const children = [spawnAppender(target, 50), spawnAppender(target, 50)]
      for (let count = 0; count < 50; count++) await store.audit.append(host, [fact({ count })], atUs)
      assert.deepEqual(await Promise.all(children.map(ending)), [0, 0])
      const entries = await assertWhole(store)
      assert.ok(entries.length >= 410 && entries.length <= 450, `${entries.length} entries`)
    })

    test('kill -9 in the middle of appends leaves the tree of what is there', async () => {
      const { store, target } = await engine.createStore()
      for (let kill = 1; kill <= 3; kill++) {
        const child = spawnAppender(target, 1_000_000)
        await firstLine(child)
        child.kill('SIGKILL')
        assert.equal(await ending(child), 'SIGKILL')
        await store.audit.append(host, [fact({ kill })], atUs)
        await assertWhole(store)
      }
    })

    test('a text is kept beside the log, which holds a commitment to it', async () => {
      const { store, target } = await engine.createStore()
      const text = 'because: Zoë 🌍 \u001b[2J'
      const grant: AuditEvent = { ...fact({ grant: 'g' }), action: 'access.opened', texts: { reason: text, note: '' } }
      assert.equal(await store.audit.append(host, [fact(), grant, grant], atUs), 3)
      const entries = await assertWhole(store)
      const texts = await store.audit.readTexts(host, [3, 1, 2, 99])
      assert.deepEqual(
        texts.map(({ seq, name, text }) => [seq, name, text]),
        [
          [2, 'note', ''],
          [2, 'reason', text],
          [3, 'note', ''],
          [3, 'reason', text],
        ],
      )
      assert.equal(new Set(texts.map(({ salt }) => Buffer.from(salt).toString('hex'))).size, 4)
      for (const { seq, name, salt, text } of texts) {
        const detail = parseAuditEntry(entries[seq - 1]?.bytes ?? new Uint8Array())?.detail
        assert.deepEqual(Object.keys(detail ?? {}), ['grant', 'note', 'reason'])
        assert.ok(commitmentHolds(String(detail?.[name]), salt, text))
      }
      assert.deepEqual(await store.audit.readTexts('elsewhere', [2]), [])
      assert.deepEqual(await store.audit.readTexts(host, []), [])
      await assert.rejects(
        store.audit.readTexts(
          host,
          Array.from({ length: 1001 }, (_, n) => n),
        ),
        RangeError,
      )
      // Erased by who owns the tables; never changed.
      await assert.rejects(queryRows(target, "UPDATE audit_texts SET text = 'another'"), /cannot update audit texts/)
      await queryRows(target, "DELETE FROM audit_texts WHERE name = 'reason'")
      assert.equal((await store.audit.readTexts(host, [2, 3])).length, 2)
      await assertWhole(store)
    })

    test('a text that can not be kept is refused, and its entry with it', async () => {
      const { store } = await engine.createStore()
      for (const texts of [{ text: '\ud800' }, { text: 'a\0b' }, { taken: 'x' }, { text: 'x'.repeat(65_536) }])
        await assert.rejects(store.audit.append(host, [{ ...fact({ taken: 1 }), texts }], atUs), RangeError)
      // Names that an object has without being given them are names like any other.
      assert.equal(await store.audit.append(host, [{ ...fact(), texts: { constructor: 'x' } }], atUs), 1)
      assert.equal(await store.audit.headSeq(host), 1)
      assert.equal((await store.audit.readTexts(host, [1])).length, 1)
    })

    test('subtrees of every level are those of the log, and proofs made of them hold', async () => {
      const { store } = await engine.createStore()
      await store.audit.append(host, facts(500), atUs)
      await store.audit.append(host, facts(300), atUs)
      const entries = await assertWhole(store)
      const wanted: Subtree[] = []
      for (let level = 0; level <= 9; level++)
        for (let index = 0; (index + 1) * 2 ** level <= 800; index += level === 0 ? 37 : 1)
          wanted.push({ level, index })
      const roots = wanted.map(({ level, index }) =>
        treeOf(entries.slice(index * 2 ** level, (index + 1) * 2 ** level)).root(),
      )
      const plain = (hashes: readonly Hash[]) => hashes.map((hash) => Buffer.from(hash).toString('hex'))
      assert.deepEqual(plain(await store.audit.readSubtrees(host, wanted)), plain(roots))
      assert.deepEqual(await store.audit.readSubtrees(host, []), [])
      for (const beyond of [
        { level: 9, index: 1 },
        { level: 8, index: 3 },
        { level: 16, index: 0 },
        { level: 0, index: 800 },
        { level: 3, index: 100 },
      ])
        await assert.rejects(store.audit.readSubtrees(host, [beyond]), isStoreError('audit-broken', /not complete/))
      const read = (asked: readonly Subtree[]) => store.audit.readSubtrees(host, asked)
      const root = treeOf(entries).root()
      for (const index of [0, 255, 256, 511, 799]) {
        const proof = await inclusionProof(index, 800, read)
        const leaf = leafHash(entries[index]?.bytes ?? new Uint8Array())
        assert.ok(verifyInclusion({ index, size: 800, leaf, proof, root }))
      }
      for (const from of [1, 255, 256, 300, 512, 700]) {
        const proof = await consistencyProof(from, 800, read)
        const fromRoot = treeOf(entries, from).root()
        assert.ok(verifyConsistency({ from, fromRoot, to: 800, toRoot: root, proof }))
      }
    })

    test('a head that holds no tree of its size, and a log of before with a hole in it, are broken', async () => {
      const { store, target } = await engine.createStore()
      await store.audit.append(host, facts(3), atUs)
      const other = await openStore(target)
      const zeros = engineName === 'sqlite' ? 'zeroblob(32)' : String.raw`'\x${'00'.repeat(32)}'`
      await queryRows(target, `UPDATE audit_heads SET tree = ${zeros}`)
      for (const its of [store, other]) {
        await assert.rejects(its.audit.readHead(host), isStoreError('audit-broken', /no tree of its size/))
        await assert.rejects(its.audit.append(host, [fact()], atUs), isStoreError('audit-broken'))
      }
      await queryRows(target, 'UPDATE audit_heads SET tree = NULL, seq = 4')
      await assert.rejects(other.audit.readHead(host), isStoreError('audit-broken', /entry 4 is missing/))
      await assert.rejects(other.audit.append(host, [fact()], atUs), isStoreError('audit-broken', /entry 4 is missing/))
      await queryRows(target, 'UPDATE audit_heads SET seq = 3')
      assert.equal(await other.audit.append(host, [fact()], atUs), 4)
      await assertWhole(store)
      await other.close()
    })

    test('a checkpoint stays what it was first, and is found as the newest, the newest cosigned, and by its size', async () => {
      const { store } = await engine.createStore()
      for (const which of ['newest', 'cosigned', { atLeast: 1 }] as const)
        assert.equal(await store.audit.findCheckpoint(host, which), null)
      for (const size of [10, 3, 7]) {
        await store.audit.addCheckpoint(host, { size, note: `note of ${size}\n`, madeAtUs: atUs + size })
        await store.audit.addCheckpoint(host, { size, note: 'another', madeAtUs: 1 })
      }
      await store.audit.addCheckpoint('elsewhere', { size: 99, note: 'of another host', madeAtUs: 1 })
      const line = '— teleclaude.auditor/build-box AAAA'
      const cosign = (size: number, signer: string, at: number, text = line) =>
        store.auditor.cosign(host, { size, signer, line: text, atUs: at })
      await cosign(7, 'second', 2)
      await cosign(7, 'first', 1)
      await cosign(7, 'first', 9, 'another')
      await cosign(3, 'first', 3)
      await cosign(8, 'first', 4)
      const plain = (size: number) => ({ size, note: `note of ${size}\n`, cosignatures: [], madeAtUs: atUs + size })
      const seventh = {
        ...plain(7),
        cosignatures: [
          { line, atUs: 1 },
          { line, atUs: 2 },
        ],
      }
      assert.deepEqual(await store.audit.findCheckpoint(host, 'newest'), plain(10))
      assert.deepEqual(await store.audit.findCheckpoint(host, 'cosigned'), seventh)
      assert.deepEqual(await store.audit.findCheckpoint(host, { atLeast: 4 }), seventh)
      assert.deepEqual(await store.audit.findCheckpoint(host, { atLeast: 8 }), plain(10))
      assert.equal(await store.audit.findCheckpoint(host, { atLeast: 11 }), null)
      const third = { ...plain(3), cosignatures: [{ line, atUs: 3 }] }
      assert.deepEqual(await store.audit.listCheckpoints(host, { afterSize: 0, limit: 2 }), [third, seventh])
      assert.deepEqual(await store.audit.listCheckpoints(host, { afterSize: 7, limit: 2 }), [plain(10)])
      assert.deepEqual(await store.audit.listCheckpoints(host, { afterSize: 10, limit: 2 }), [])
    })

    test('nobody changes or takes away a checkpoint or a subtree, not even who owns the tables', async () => {
      const { store, target } = await engine.createStore()
      await store.audit.append(host, facts(256), atUs)
      await store.audit.addCheckpoint(host, { size: 256, note: 'note', madeAtUs: 1 })
      const tables = { audit_checkpoints: 'size', audit_subtrees: 'position' }
      for (const [table, column] of Object.entries(tables)) {
        const name = table.replace('_', ' ')
        const statements = [
          `UPDATE ${table} SET ${column} = 7`,
          `DELETE FROM ${table}`,
          engineName === 'postgres' ? `TRUNCATE ${table}` : `REPLACE INTO ${table} SELECT * FROM ${table}`,
          `INSERT INTO ${table} SELECT * FROM ${table} WHERE true
           ON CONFLICT (host, ${column === 'size' ? 'size' : 'level, position'}) DO UPDATE SET ${column} = 7`,
        ]
        for (const statement of statements)
          await assert.rejects(
            queryRows(target, statement),
            new RegExp(`cannot \\w+ ${name}: .* only ever added`),
            statement,
          )
      }
      assert.equal((await store.audit.findCheckpoint(host, 'newest'))?.note, 'note')
    })
  })
}

describe("the audit log's tree in PostgreSQL", () => {
  let engine: TestEngine
  before(async () => {
    engine = await startEngine('postgres')
  })
  after(() => engine.stop())

  test('a connection that is cut in the middle of an append leaves nothing of it, and the log goes on', async () => {
    const { store, target } = await engine.createStore()
    await store.audit.append(host, facts(2), atUs)
    // Whoever appends waits for the head's row, and is cut off there.
    const { connectClient, parseServer } = await import('./postgres/connection.ts')
    assert.equal(target.engine, 'postgres')
    for (let cut = 1; cut <= 3; cut++) {
      const holder = await connectClient(parseServer(target.url), 'test')
      await holder.query('BEGIN')
      await holder.query('SELECT seq FROM audit_heads FOR UPDATE')
      const appended = store.audit.append(host, facts(300), atUs)
      const refused = assert.rejects(appended, isStoreError('unavailable'))
      const waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
      while ((await holder.query(waiting)).rows.length === 0);
      await holder.query(`SELECT pg_terminate_backend(pid) FROM (${waiting}) AS waiting`)
      await refused
      await holder.query('ROLLBACK')
      await holder.end()
      assert.equal(await store.audit.headSeq(host), 1 + cut)
      assert.equal(await store.audit.append(host, [fact({ cut })], atUs), 2 + cut)
      await assertWhole(store)
    }
  })
})
