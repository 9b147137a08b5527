import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { AuditEntry } from '@teleclaude/core/audit.ts'
import type { GrantedRole, People } from '@teleclaude/core/people.ts'
import type { Action } from '@teleclaude/core/policy.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import { type InstanceLock, StoreError } from '@teleclaude/store/contract.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { pino } from 'pino'
import { engineNames, startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { Accounts } from '../identity/accounts.ts'
import { systemIdentity } from '../identity/system.ts'
import { OpenStreams } from './open-streams.ts'

const log = pino({ level: 'silent' })
const host = 'h'
/** Uids without an account on any machine. */
const ann = 3_000_001
const ben = 3_000_002
const unknown = 'this service does not know you: an admin has to add you to its people'

const noAccess = { accessUnder: () => null, whyOver: () => null }

type Rule = readonly [name: string, role: GrantedRole, uid: number]

function rules(...people: readonly Rule[]): People {
  return {
    people: people.map(([name, role, uid]) => ({ name, role, osUsernames: [], osUids: [uid], rule: `people.${name}` })),
    groups: [],
    accounts: null,
  }
}

for (const engineName of engineNames) {
  describe(`open streams on ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    async function make() {
      const { target, store: witness } = await engine.createStore()
      let isAway = false
      const lock: InstanceLock = {
        requireHeld() {
          if (isAway) throw new StoreError('unavailable', 'cannot reach it: a test')
        },
        onAway: () => undefined,
        lost: new Promise(() => undefined),
        release: async () => undefined,
      }
      const store = await openStore(target, { lock })
      let people = rules(['ann', 'admin', ann], ['ben', 'member', ben])
      const identity = systemIdentity(() => people, await Accounts.load({ store, host }))
      const streams = new OpenStreams({ store, host }, identity, noAccess, log)
      const closed: string[] = []
      return {
        streams,
        closed,
        setPeople(...changed: readonly Rule[]) {
          people = rules(...changed)
        },
        setAway(away: boolean) {
          isAway = away
        },
        open(uid: number, action: Action, owner = uid === ann ? 'ann' : 'ben', id: string = crypto.randomUUID()) {
          const caller = identity.resolve({ uid, gid: uid, groups: [], pid: 7 })
          const session = { id: id as SessionId, owner: { person: owner, uid, osUser: owner } }
          const close = (reason: string) => closed.push(`${uid === ann ? 'ann' : 'ben'} ${action}: ${reason}`)
          return streams.open({ caller, action, session, close })
        },
        /** Those of closed streams, once what was recorded before is durable. */
        async entries(): Promise<readonly AuditEntry[]> {
          const event = {
            action: 'service.stopped',
            actor: { kind: 'service', name: 'api' },
            session: null,
            detail: {},
          } as const
          await store.audit.append(host, [event], 1)
          const stored = await witness.audit.read(host, { afterSeq: 0, limit: 1000 })
          return stored
            .map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()) as AuditEntry)
            .filter(({ action }) => action === 'stream.closed')
        },
        [Symbol.asyncDispose]: () => store.close(),
      }
    }

    test('who is removed loses every stream, with the reason, and nobody else loses any', async () => {
      await using own = await make()
      for (const uid of [ann, ben]) {
        for (const action of ['session.drive', 'runner.connect', 'transcript.read'] as const) own.open(uid, action)
      }
      own.streams.review()
      assert.deepEqual(own.closed, [])
      own.setPeople(['ann', 'admin', ann])
      own.streams.review()
      assert.deepEqual(own.closed, [
        `ben session.drive: ${unknown}`,
        `ben runner.connect: ${unknown}`,
        `ben transcript.read: ${unknown}`,
      ])
      own.streams.review()
      assert.equal(own.closed.length, 3)
    })

    test('another role that still allows it closes nothing', async () => {
      await using own = await make()
      own.open(ann, 'session.drive')
      own.open(ben, 'runner.connect')
      own.setPeople(['ann', 'newcomer', ann], ['ben', 'admin', ben])
      own.streams.review()
      assert.deepEqual(own.closed, [])
      assert.deepEqual(await own.entries(), [])
    })

    test('who has become another person has nothing of what was the former one’s', async () => {
      await using own = await make()
      own.open(ann, 'session.attach')
      own.open(ben, 'session.attach')
      own.setPeople(['eve', 'admin', ann], ['mallory', 'member', ben])
      own.streams.review()
      assert.deepEqual(own.closed, [
        'ann session.attach: this session belongs to somebody else: open it first, with a reason (telec access open)',
        'ben session.attach: this session belongs to somebody else',
      ])
    })

    test('what was allowed a moment before it opens, and is not any more, is closed as it opens', async () => {
      await using own = await make()
      own.setPeople(['ann', 'admin', ann])
      own.open(ben, 'session.attach')
      assert.deepEqual(own.closed, [`ben session.attach: ${unknown}`])
    })

    test('what is over is not closed', async () => {
      await using own = await make()
      const over = own.open(ben, 'session.attach')
      over()
      own.setPeople()
      own.streams.review()
      assert.deepEqual(own.closed, [])
    })

    test('an account that changes without a word is found out in time', async () => {
      await using own = await make()
      const closed = Promise.withResolvers<string>()
      const identity = { credentials: { uid: ben, gid: ben, groups: [], pid: 7 }, osUser: null }
      const caller = {
        ...identity,
        person: 'ben',
        role: 'member',
        because: '',
        rule: 'people.ben',
        refusal: '',
      } as const
      own.streams.open({ caller, action: 'session.list', session: null, close: closed.resolve })
      const end = own.streams.reviewEvery(5)
      own.setPeople()
      assert.equal(await closed.promise, unknown)
      end()
    })

    test('while nobody can be identified, nothing opens and a change closes all; the look from time to time waits', async () => {
      let looks = 0
      let isAway = false
      const lookedTwice = Promise.withResolvers<void>()
      const caller = {
        credentials: { uid: ann, gid: ann, groups: [], pid: 7 },
        osUser: null,
        person: 'ann',
        role: 'admin',
        because: '',
        rule: null,
        refusal: '',
      } as const
      const resolve = () => {
        if (!isAway) return caller
        looks += 1
        if (looks === 2) lookedTwice.resolve()
        throw new ProblemError('unavailable', 'cannot serve you now: a test')
      }
      const { store } = await engine.createStore()
      const streams = new OpenStreams({ store, host }, { refuse: () => null, resolve }, noAccess, log)
      const reasons: string[] = []
      const open = () =>
        streams.open({ caller, action: 'session.list', session: null, close: (reason) => reasons.push(reason) })
      open()
      isAway = true
      const end = streams.reviewEvery(5)
      await lookedTwice.promise
      end()
      assert.deepEqual(reasons, [])
      streams.review()
      open()
      assert.deepEqual(reasons, ['cannot serve you now: a test', 'cannot serve you now: a test'])
    })

    test('hundreds of streams of one caller are one entry on the record', async () => {
      await using own = await make()
      const id = crypto.randomUUID()
      for (let count = 0; count < 300; count++) own.open(ben, count % 2 ? 'session.attach' : 'session.drive', 'ben', id)
      own.open(ann, 'runner.connect')
      own.open(ann, 'runner.connect')
      own.setPeople()
      own.streams.review()
      assert.equal(own.closed.length, 302)
      const entries = await own.entries()
      assert.equal(entries.length, 2)
      assert.partialDeepStrictEqual(entries[0], {
        actor: { kind: 'caller', person: 'ben', uid: ben, pid: 7 },
        session: { id, owner: 'ben' },
        detail: { request: 'session.attach, session.drive', reason: unknown, streams: 300, sessions: 1 },
      })
      assert.partialDeepStrictEqual(entries[1], {
        actor: { person: 'ann' },
        session: null,
        detail: { request: 'runner.connect', streams: 2, sessions: 2 },
      })
    })

    test('what can not be recorded is closed all the same, and recorded when that is possible', async () => {
      await using own = await make()
      own.open(ben, 'session.attach')
      own.setPeople(['ann', 'admin', ann])
      own.setAway(true)
      own.streams.review()
      assert.equal(own.closed.length, 1)
      await assert.rejects(own.entries())
      own.setAway(false)
      assert.deepEqual(await own.entries(), [])
      own.streams.review()
      assert.equal((await own.entries()).length, 1)
      own.streams.review()
      assert.equal((await own.entries()).length, 1)
    })
  })
}
