import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Caller } from '@teleclaude/core/caller.ts'
import type { GrantedRole } from '@teleclaude/core/people.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { engineNames, newSession, startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { LiveLimit } from './live-limit.ts'

function callerOf(person: string, role: GrantedRole): Caller {
  const credentials = { uid: 1, gid: 1, groups: [], pid: 7 }
  return { credentials, osUser: person, person, role, because: '', rule: null, refusal: '' }
}

const limitReached = { name: 'ProblemError', code: 'limit-reached' }

for (const name of engineNames) {
  describe(`live sessions on ${name}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    async function make(most = 2) {
      const { store } = await engine.createStore()
      const sessions = { newcomer: most, contributor: most, member: most, admin: most }
      const notes: string[] = []
      const subject = new LiveLimit({
        store,
        host: 'h',
        denials: { note: ({ request, reason }) => notes.push(`${request}: ${reason}`) },
        limits: () => ({ sessions }),
      })
      const create = (person: string) => store.sessions.create(newSession({ host: 'h', owner: ownerOf(person) }))
      return { store, sessions, notes, subject, create }
    }
    const ownerOf = (person: string) => ({ person, uid: 1, osUser: person })
    const countOf = (store: Store, person: string) => store.sessions.countLive('h', person)

    test('of many starts at once as many succeed as there are places, and the rest do nothing', async () => {
      const { store, subject, create, notes } = await make(3)
      const start = (person: string) => subject.start(callerOf(person, 'member'), () => create(person))
      await start('ann')
      const outcomes = await Promise.allSettled([...Array(10).fill('ann'), ...Array(2).fill('ben')].map(start))
      assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 4)
      assert.deepEqual([await countOf(store, 'ann'), await countOf(store, 'ben')], [3, 2])
      assert.deepEqual(
        new Set(notes),
        new Set(['session.create: 3 sessions are live, and with the role member 3 may be']),
      )
    })

    test('a place is free again when a session has ended; what runs elsewhere takes none', async () => {
      const { store, subject, create } = await make(1)
      const ann = callerOf('ann', 'newcomer')
      await store.sessions.create(newSession({ host: 'elsewhere', owner: ownerOf('ann') }))
      const { id } = await subject.start(ann, () => create('ann'))
      await assert.rejects(
        subject.start(ann, () => create('ann')),
        limitReached,
      )
      await store.sessions.end(id, { kind: 'exited', code: 0 }, 1)
      await subject.start(ann, () => create('ann'))
    })

    test('a start that fails is not in the way of the next', async () => {
      const { subject, create } = await make(1)
      const ann = callerOf('ann', 'member')
      const failing = subject.start(ann, () => Promise.reject(new Error('no')))
      const next = subject.start(ann, () => create('ann'))
      await assert.rejects(failing, { message: 'no' })
      assert.equal((await next).owner.person, 'ann')
    })

    test('nobody waits for the start of somebody else', async () => {
      const { subject, create } = await make(1)
      const { promise, resolve } = Promise.withResolvers<void>()
      const slow = subject.start(callerOf('ann', 'member'), () => promise)
      await subject.start(callerOf('ben', 'member'), () => create('ben'))
      resolve()
      await slow
    })

    test('the limit is that of the role, as it is when it is their turn; none at all is possible', async () => {
      const { subject, create, sessions } = await make(1)
      const ann = callerOf('ann', 'member')
      sessions.member = 0
      await assert.rejects(
        subject.start(ann, () => create('ann')),
        { ...limitReached, message: /with the role member you may have none here; ask an admin/ },
      )
      sessions.member = 2
      await subject.start(ann, () => create('ann'))
      await subject.start(ann, () => create('ann'))
      await assert.rejects(
        subject.start(ann, () => create('ann')),
        { message: /you have 2 that are live, and with the role member you may have 2; end one \(telec ls --live/ },
      )
      sessions.member = Number.POSITIVE_INFINITY
      await subject.start(ann, () => create('ann'))
    })
  })
}
