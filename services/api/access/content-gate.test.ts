import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { nowUs } from '@teleclaude/core/instant.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import { type Store, StoreError } from '@teleclaude/store/contract.ts'
import { pino } from 'pino'
import { engineNames, startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { theApi } from '../audit/record.ts'
import type { Service } from '../service.ts'
import { TranscriptPages } from '../transcript/pages.ts'
import { openContent } from './content-gate.ts'
import { AccessGrants } from './grants.ts'
import { alicesSession, entries, host, putGrant, testIdentity, until } from './test-access.ts'

const log = pino({ level: 'silent' })
const peer = { uid: 1, gid: 1, groups: [], pid: 7 }
const away = () => Promise.reject(new StoreError('unavailable', 'cannot reach it: a test'))

function isRefusal(code: ProblemError['code']) {
  return (error: unknown) => error instanceof ProblemError && error.code === code
}

for (const name of engineNames) {
  describe(`on ${name}`, { timeout: 60_000 }, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    async function make(t: TestContext, change: (store: Store) => Store = (store) => store) {
      const { store } = await engine.createStore()
      const session = await alicesSession(store, ['one', 'three'])
      const grant = await putGrant(store, session)
      const identity = testIdentity({ person: 'ada', role: 'admin' }, {})
      const changed = change(store)
      const access = new AccessGrants({ store: changed, host, identity, log })
      await access.load()
      t.after(() => access.stop(0))
      const caller = identity.resolve(peer)
      const assurance = { requireCalm: () => undefined, untilSafe: async () => undefined }
      const open = (own: object = {}) => {
        const service = { store: changed, host, identity, access, assurance, pages: new TranscriptPages(store), ...own }
        return openContent({ service: service as unknown as Service, caller, session, grant }, 'transcript')
      }
      return { store, session, grant, access, caller, open }
    }

    test('what was read is counted before it goes out, and put down once', async (t) => {
      const { store, open } = await make(t)
      const content = await open()
      const chunks = await content.read(0)
      assert.equal(chunks.length, 2)
      for (const { seq, bytes } of chunks) content.sending(seq, bytes.length)
      content.over()
      content.over()
      await until(async () => (await store.access.listOpenViews(host)).length === 0)
      const [opened, delivered, ...others] = await entries(store, /^content/)
      assert.equal(others.length, 0)
      assert.equal(opened?.detail.view, delivered?.detail.view)
      assert.partialDeepStrictEqual(delivered?.detail, { firstSeq: 1, lastSeq: 2, bytes: 8, complete: true })
    })

    test('while nobody has looked at an alarm, nothing is opened', async (t) => {
      const { store, open } = await make(t)
      const requireCalm = () => {
        throw new ProblemError('audit-alarm', 'cannot show it: a test')
      }
      await assert.rejects(open({ assurance: { requireCalm } }), isRefusal('audit-alarm'))
      assert.deepEqual(await entries(store, /^content/), [])
    })

    test('what is recorded and not safe there yet is not shown, and the record says so', async (t) => {
      const { store, open } = await make(t)
      let waitedFor = 0
      const untilSafe = async (seq: number) => {
        waitedFor = seq
        throw new ProblemError('not-recorded', 'cannot show it: a test')
      }
      const assurance = { requireCalm: () => undefined, untilSafe }
      await assert.rejects(open({ assurance }), isRefusal('not-recorded'))
      await until(async () => (await entries(store, /^content/)).length === 2)
      const [opened, delivered] = await entries(store, /^content/)
      assert.equal(waitedFor, opened?.seq)
      assert.partialDeepStrictEqual(delivered?.detail, { firstSeq: null, bytes: 0, complete: true })
    })

    test('what can not be recorded, or not be kept, is not shown', async (t) => {
      const unrecorded = await make(t, (store) => ({ ...store, audit: { ...store.audit, append: away } }))
      await assert.rejects(unrecorded.open(), isRefusal('not-recorded'))
      const unkept = await make(t, (store) => ({ ...store, access: { ...store.access, beginView: away } }))
      await assert.rejects(unkept.open(), isRefusal('not-recorded'))
      await until(async () => (await entries(unkept.store, /^content\.delivered/)).length === 1)
    })

    test('a grant that ends while all that takes its time opens nothing', async (t) => {
      const { store, grant, access, open } = await make(t)
      const untilSafe = () => access.end(grant, theApi, { atUs: nowUs(), by: 'ben', why: 'ended' })
      const assurance = { requireCalm: () => undefined, untilSafe }
      await assert.rejects(open({ assurance }), (error: unknown) => {
        assert.ok(error instanceof ProblemError)
        assert.equal(error.code, 'not-permitted')
        assert.match(error.message, /ben ended it/)
        return true
      })
      await until(async () => (await store.access.listOpenViews(host)).length === 0)
      assert.partialDeepStrictEqual(await entries(store, /^content\.delivered/), [{ detail: { bytes: 0 } }])
    })

    test('what is somebody else’s does not pass without a grant, whoever let it come this far', async (t) => {
      const { store, session, access, caller } = await make(t)
      const service = { store, host, access } as unknown as Service
      await assert.rejects(openContent({ service, caller, session, grant: null }, 'attach'), isRefusal('not-permitted'))
      assert.deepEqual(await entries(store, /^content/), [])
    })
  })
}
