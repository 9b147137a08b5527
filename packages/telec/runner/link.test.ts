// Against a service that says what the test wants said.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from '@teleclaude/client/client.ts'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import { encodeChunk } from '@teleclaude/core/transcript.ts'
import { RunnerLink } from './link.ts'
import { Spool } from './spool.ts'
import { type Accepted, startScriptedService } from './test-service.ts'

async function make(t: TestContext, { refusedGraceMs }: { readonly refusedGraceMs: number }) {
  const maxSpoolBytes = 16 * 1024 * 1024
  const { directory, socketPath, asked } = await startScriptedService(t)
  const spool = Spool.create(join(directory, 'spool'), maxSpoolBytes)
  t.after(() => spool.close())
  const heard: string[] = []
  const connected: null[] = []
  const refused = Promise.withResolvers<void>()
  const link = new RunnerLink(new Client(socketPath), crypto.randomUUID(), spool, {
    refusedGraceMs,
    connected: () => connected.push(null),
    ready: (ackedSeq) => heard.push(ackedSeq === 0 ? 'ready' : `ready after ${ackedSeq}`),
    progressed: () => undefined,
    input: () => undefined,
    message: ({ type }) => heard.push(type),
    refusedForGood: (reason) => {
      heard.push(`refused: ${reason}`)
      refused.resolve()
    },
  })
  let seq = 0
  return {
    link,
    heard,
    connected,
    refusedForGood: refused.promise,
    asked,
    record(text: string) {
      seq += 1
      const frame = encodeChunk({ seq, kind: 'output', offsetUs: 1, bytes: Buffer.from(text) })
      spool.append(seq, frame)
      link.send(seq, frame)
    },
  }
}

async function received(accepted: Accepted): Promise<string> {
  const { seq, bytes } = await accepted.chunk()
  return `${seq} ${Buffer.from(bytes).toString('utf8')}`
}

for (const code of ['not-permitted', 'not-found', 'bad-request'] as const) {
  test(`at the beginning ${code} is the end`, async (t) => {
    const own = await make(t, { refusedGraceMs: 60_000 })
    const end = own.link.run()
    const asked = await own.asked()
    asked.refuse(code)
    assert.deepEqual(await end, { kind: 'failed', reason: `cannot: ${code}` })
    assert.deepEqual(own.heard, [])
  })
}

test('a service that is busy or away at the beginning is asked again', async (t) => {
  const own = await make(t, { refusedGraceMs: 0 })
  const end = own.link.run()
  for (const code of ['too-many-requests', 'unavailable', 'too-many-requests'] as const)
    (await own.asked()).refuse(code)
  const accepted = (await own.asked()).accept(0)
  own.record('one')
  assert.equal(await received(accepted), '1 one')
  accepted.socket.close(closeCodes.ended)
  assert.deepEqual(await end, { kind: 'complete' })
  assert.deepEqual(own.heard, ['ready'])
})

test('who is shown out tries on, and goes on from what the service has when let in again', async (t) => {
  const own = await make(t, { refusedGraceMs: 60_000 })
  const end = own.link.run()
  const first = (await own.asked()).accept(0)
  own.record('one')
  assert.equal(await received(first), '1 one')
  first.socket.close(closeCodes.notPermitted, 'that is why')
  own.record('two')
  for (const code of ['not-permitted', 'not-found', 'unavailable', 'too-many-requests'] as const) {
    const asked = await own.asked()
    own.record(code)
    asked.refuse(code)
  }
  const second = (await own.asked()).accept(1)
  const seen: string[] = []
  while (seen.length < 5) seen.push(await received(second))
  assert.deepEqual(seen, ['2 two', '3 not-permitted', '4 not-found', '5 unavailable', '6 too-many-requests'])
  second.socket.close(closeCodes.ended)
  assert.deepEqual(await end, { kind: 'complete' })
  assert.deepEqual(own.heard, ['ready'])
})

test('who stays shut out is told once, tries on, and may give up only while that is so', async (t) => {
  const own = await make(t, { refusedGraceMs: 0 })
  const end = own.link.run()
  const first = (await own.asked()).accept(0)
  own.link.giveUpIfRefused()
  first.socket.close(closeCodes.notPermitted, 'that is why')
  await own.refusedForGood
  const asked = await own.asked()
  asked.refuse('not-found')
  const second = (await own.asked()).accept(0)
  own.record('one')
  assert.equal(await received(second), '1 one')
  own.link.giveUpIfRefused()
  second.socket.terminate()
  const third = await own.asked()
  third.refuse('not-permitted')
  // Let in between: it counts anew.
  while (own.heard.length < 3) (await own.asked()).refuse('not-permitted')
  own.link.giveUpIfRefused()
  assert.deepEqual(await end, { kind: 'refused', reason: 'cannot: not-permitted' })
  assert.deepEqual(own.heard, ['ready', 'refused: that is why', 'refused: cannot: not-permitted'])
})

test('what there was to tell while the service was away is told once, when it is back', async (t) => {
  const own = await make(t, { refusedGraceMs: 60_000 })
  const end = own.link.run()
  const first = (await own.asked()).accept(0)
  own.record('one')
  assert.equal(await received(first), '1 one')
  own.link.tell({ type: 'command-finished', number: 1, reason: null })
  assert.deepEqual(await first.message(), { type: 'command-finished', number: 1, reason: null })
  first.socket.terminate()
  const again = await own.asked()
  own.link.tell({ type: 'command-finished', number: 2, reason: 'why' })
  own.link.tell({ type: 'command-finished', number: 3, reason: null })
  const second = again.accept(1)
  assert.deepEqual(await second.message(), { type: 'command-finished', number: 2, reason: 'why' })
  assert.deepEqual(await second.message(), { type: 'command-finished', number: 3, reason: null })
  second.socket.close(closeCodes.ended)
  assert.deepEqual(await end, { kind: 'complete' })
})

test('a service that nobody cares to wait for any longer is away', async (t) => {
  const own = await make(t, { refusedGraceMs: 60_000 })
  const end = own.link.run()
  ;(await own.asked()).refuse('unavailable')
  own.link.giveUp()
  assert.deepEqual(await end, { kind: 'away', reason: 'the service does not answer, or takes nothing' })
})

test('a flood is held back unless somebody looks on, which each connection says anew', async (t) => {
  // No time passes: the program never pauses, and once what may be passed on at once is used up, nothing more may.
  t.mock.method(performance, 'now', () => 0)
  const own = await make(t, { refusedGraceMs: 60_000 })
  const end = own.link.run()
  const chunks = 40
  const text = 'x'.repeat(64 * 1024)
  const follow = (accepted: Accepted) => {
    const seqs: number[] = []
    const all = (async () => {
      while (seqs.length < chunks) seqs.push((await accepted.chunk()).seq)
    })()
    return { seqs, all }
  }
  const first = (await own.asked()).accept(0)
  first.say({ type: 'watched', watched: true })
  first.say({ type: 'snapshot' })
  while (!own.heard.includes('snapshot')) await delay(1)
  const watched = follow(first)
  for (let count = 0; count < chunks; count++) own.record(text)
  await watched.all
  first.socket.terminate()
  const second = (await own.asked()).accept(chunks)
  while (own.connected.length < 2) await delay(1)
  const unwatched = follow(second)
  for (let count = 0; count < chunks; count++) own.record(text)
  await delay(50)
  assert.deepEqual(unwatched.seqs, [])
  second.say({ type: 'watched', watched: true })
  await unwatched.all
  second.socket.close(closeCodes.ended)
  assert.deepEqual(await end, { kind: 'complete' })
})
