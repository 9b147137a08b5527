// The database goes away at every step of opening somebody's content: between any two messages to PostgreSQL, before the server
// has heard of one and after it has done what it says; and on both engines before any operation of the store. Whatever step that
// is, nobody has seen a byte, and no runner has heard a word, that is not on the record.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, type TestContext, test } from 'node:test'
import { AnswerError } from '@teleclaude/client/client.ts'
import { encodeChunk } from '@teleclaude/core/transcript.ts'
import { type InstanceLock, type Store, StoreError } from '@teleclaude/store/contract.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { engineNames, startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { connectRunner, connectViewer, type RunnerEnd, type ViewerEnd } from '../test-serve.ts'
import { alicesSession, entries, putGrant, serveTo, until } from './test-access.ts'
import { CuttablePostgres } from './test-cut.ts'

const secret = 'what alice typed'

/** Goes away at its nth operation from then on, by the door that it is really shut at: the lock. */
async function openCuttable(engine: TestEngine) {
  const { target, store: witness } = await engine.createStore()
  let left = Number.POSITIVE_INFINITY
  const lock: InstanceLock = {
    requireHeld() {
      left -= 1
      if (left < 0) throw new StoreError('unavailable', 'cannot reach it: a test')
    },
    onAway: () => undefined,
    lost: new Promise(() => undefined),
    release: async () => undefined,
  }
  return {
    witness,
    store: await openStore(target, { lock }),
    goAwayAt: (step: number) => {
      left = step
    },
    comeBack() {
      const wasAway = left < 0
      left = Number.POSITIVE_INFINITY
      return wasAway
    },
  }
}

/** The same for its nth message to the server. */
async function openCut(t: TestContext, engine: TestEngine, lost: 'asked' | 'answered') {
  const { target, store: witness } = await engine.createStore()
  if (target.engine !== 'postgres') throw new TypeError('only PostgreSQL has a wire')
  const cut = await CuttablePostgres.before(target.url)
  t.after(() => cut[Symbol.asyncDispose]())
  return {
    witness,
    store: await openStore({ engine: 'postgres', url: cut.url }),
    goAwayAt: (message: number) => cut.goAwayAt({ message: message + 1, lost }),
    comeBack: () => cut.comeBack(),
  }
}

type Cuttable = Awaited<ReturnType<typeof openCuttable>>

/** Alice's session, with her runner, and ada who has opened it. */
async function makeScene(t: TestContext, { witness, store, comeBack }: Cuttable) {
  const session = await alicesSession(witness, [secret])
  await putGrant(witness, session, { drive: true })
  const { client, asking, stop } = await serveTo(t, store)
  t.after(async () => {
    comeBack()
    await stop()
    await store.close()
  })
  asking.person = 'alice'
  const runner = await connectRunner(client, session)
  await runner.until(() => runner.heard.some(({ type }) => type === 'welcome'))
  asking.person = 'ada'
  const counted = (wanted: RegExp) => entries(witness, wanted).then(({ length }) => length)
  return { session, client, runner, counted }
}

type Scene = Awaited<ReturnType<typeof makeScene>>

/** What the peer got of alice's, however it ended. */
async function readTranscript({ client, session }: Scene): Promise<string> {
  let got = ''
  try {
    const answer = await client.readTranscript(session.id, { format: 'raw' })
    answer.setEncoding('latin1')
    for await (const part of answer) got += part
    return got
  } catch (error) {
    if (error instanceof AnswerError) return error.message
    return got
  }
}

/** @param seq the runner's next */
async function attach({ client, session, runner }: Scene, seq: number): Promise<string> {
  const output = Buffer.from(secret)
  const print = () => runner.socket.send(encodeChunk({ seq, kind: 'output', offsetUs: seq, bytes: output }))
  let viewer: ViewerEnd
  try {
    viewer = await connectViewer(client, session, { afterSeq: 'end' })
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error
    print()
    return error.message
  }
  const isOver = viewer.closed.then(() => true)
  const goesOn = async () => !(await Promise.race([isOver, once(viewer.socket, 'message').then(() => false)]))
  while (viewer.heard.length === 0) if (!(await goesOn())) break
  print()
  while (viewer.frames.length === 0) if (!(await goesOn())) break
  viewer.socket.close()
  await viewer.closed
  return Buffer.concat(viewer.frames).toString('latin1')
}

async function send({ client, session }: Scene): Promise<void> {
  try {
    await client.enqueueCommand(session.id, { kind: 'send', text: 'y' })
  } catch (error) {
    if (!(error instanceof AnswerError)) throw error
    assert.equal(error.problem.status, 503, error.message)
  }
}

const commandsOf = (runner: RunnerEnd) => runner.heard.filter(({ type }) => type === 'command').length

/** Does it again and again, cut off at each step in turn, until it gets through: three times, since something else can have taken
 *  a step in the meantime. */
async function cutAtEachStep(own: Cuttable, attempt: (step: number) => Promise<void>): Promise<number> {
  const mostSteps = 200
  let through = 0
  for (let step = 0; step < mostSteps; step++) {
    own.goAwayAt(step)
    await attempt(step)
    through = own.comeBack() ? 0 : through + 1
    if (through === 3) return step
    await until(() =>
      own.store.ping().then(
        () => true,
        () => false,
      ),
    )
  }
  return assert.fail(`it never got through in ${mostSteps} steps`)
}

/** Every view of which there is a row is put down as over, in the end. */
async function allPutDown(witness: Store): Promise<void> {
  await until(async () => (await witness.access.listOpenViews('h')).length === 0)
}

type Variant = { readonly label: string; open(t: TestContext, engine: TestEngine): Promise<Cuttable> }
const variants: Readonly<Record<(typeof engineNames)[number], readonly Variant[]>> = {
  sqlite: [{ label: 'before any operation', open: (_t, engine) => openCuttable(engine) }],
  postgres: [
    { label: 'before any operation', open: (_t, engine) => openCuttable(engine) },
    { label: 'before any message to the server', open: (t, engine) => openCut(t, engine, 'asked') },
    { label: 'before any answer of the server', open: (t, engine) => openCut(t, engine, 'answered') },
  ],
}

for (const name of engineNames) {
  describe(`on ${name}`, { timeout: 120_000 }, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    for (const { label, open } of variants[name]) {
      test(`a transcript, cut off ${label}`, async (t) => {
        const own = await open(t, engine)
        const scene = await makeScene(t, own)
        let shown = 0
        const steps = await cutAtEachStep(own, async (step) => {
          const got = await readTranscript(scene)
          if (got.includes('alice typed')) shown += 1
          const opened = await scene.counted(/^content\.opened$/)
          assert.ok(opened >= shown, `step ${step}: ${opened} on the record, ${shown} shown`)
        })
        assert.ok(steps > 2 && shown > 0, `${steps} ${shown}`)
        await allPutDown(own.witness)
        assert.ok((await scene.counted(/^content\.delivered$/)) >= shown)
      })

      test(`a live view, cut off ${label}`, async (t) => {
        const own = await open(t, engine)
        const scene = await makeScene(t, own)
        let shown = 0
        const steps = await cutAtEachStep(own, async (step) => {
          // One was there before.
          const got = await attach(scene, step + 2)
          if (got.includes('alice typed')) shown += 1
          const opened = await scene.counted(/^content\.opened$/)
          assert.ok(opened >= shown, `step ${step}: ${opened} on the record, ${shown} shown`)
        })
        assert.ok(steps > 2 && shown > 0, `${steps} ${shown}`)
        await allPutDown(own.witness)
      })

      test(`what is typed into it, cut off ${label}`, async (t) => {
        const own = await open(t, engine)
        const scene = await makeScene(t, own)
        const steps = await cutAtEachStep(own, async (step) => {
          await send(scene)
          const recorded = await scene.counted(/^session\.commanded$/)
          assert.ok(recorded >= commandsOf(scene.runner), `step ${step}`)
        })
        assert.ok(steps > 2)
        await scene.runner.until(() => commandsOf(scene.runner) > 0)
        assert.ok((await scene.counted(/^session\.commanded$/)) >= commandsOf(scene.runner))
      })
    }
  })
}
