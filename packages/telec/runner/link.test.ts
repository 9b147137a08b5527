// Against a service that says what the test wants said.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Client } from '@teleclaude/client/client.ts'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import { encodeChunk } from '@teleclaude/core/transcript.ts'
import { RunnerLink } from './link.ts'
import { Spool } from './spool.ts'
import { type Accepted, startScriptedService } from './test-service.ts'

async function make(t: TestContext, { refusedGraceMs }: { readonly refusedGraceMs: number }) {
  const { directory, socketPath, asked } = await startScriptedService(t)
  const spool = Spool.create(join(directory, 'spool'), 1024 * 1024)
  t.after(() => spool.close())
  const heard: string[] = []
  const refused = Promise.withResolvers<void>()
  const link = new RunnerLink(new Client(socketPath), crypto.randomUUID(), spool, {
    refusedGraceMs,
    connected: () => undefined,
    ready: (ackedSeq) => heard.push(ackedSeq === 0 ? 'ready' : `ready after ${ackedSeq}`),
    progressed: () => undefined,
    input: () => undefined,
    message: () => undefined,
    refusedForGood: (reason) => {
      heard.push(`refused: ${reason}`)
      refused.resolve()
    },
  })
  let seq = 0
  return {
    link,
    heard,
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
