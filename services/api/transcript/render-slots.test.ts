import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type RenderSlot, RenderSlots } from './render-slots.ts'

/** Who has a turn, in the order in which they got it. */
function make(t: TestContext, jobs: number) {
  const over = new AbortController()
  t.after(() => over.abort())
  const slots = new RenderSlots({ jobs, stallMs: 60_000 })
  const got: string[] = []
  const held = new Map<string, RenderSlot>()
  const ask = (uid: number, name: string, abandoned: AbortSignal = over.signal) => {
    slots
      .take(uid, abandoned)
      .then((slot) => {
        if (slot === null) return
        got.push(name)
        held.set(name, slot)
      })
      .catch(assert.fail)
  }
  const end = (name: string) => held.get(name)?.[Symbol.dispose]()
  /** Everything that can be settled is. */
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve))
  return { got, ask, end, settle }
}

test('somebody who asks for everything leaves a turn to others, and waits behind who has fewer', async (t) => {
  const { got, ask, end, settle } = make(t, 4)
  for (let count = 1; count <= 10; count++) ask(1, `one ${count}`)
  await settle()
  assert.deepEqual(got, ['one 1', 'one 2', 'one 3'])
  ask(2, 'two 1')
  ask(2, 'two 2')
  ask(3, 'three 1')
  await settle()
  assert.deepEqual(got.slice(3), ['two 1'])
  for (const name of ['one 1', 'one 2', 'one 3']) end(name)
  await settle()
  assert.deepEqual(got.slice(4), ['three 1', 'one 4', 'one 5'])
})

test('turns are in order of asking among those who have equally many', async (t) => {
  const { got, ask, end, settle } = make(t, 1)
  const names = ['a', 'b', 'c', 'd']
  for (const [index, name] of names.entries()) ask(index % 2, name)
  for (const name of names) {
    await settle()
    end(name)
  }
  assert.deepEqual(got, names)
})

test('who has given up is passed over', async (t) => {
  const { got, ask, end, settle } = make(t, 1)
  const impatient = new AbortController()
  ask(1, 'a')
  ask(2, 'b', impatient.signal)
  ask(3, 'c')
  impatient.abort()
  await settle()
  end('a')
  await settle()
  assert.deepEqual(got, ['a', 'c'])
})
