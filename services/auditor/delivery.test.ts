import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { deliverAll, type Progress } from './delivery.ts'
import { confirmed, type Delivery, refused, unavailable } from './sink.ts'
import { batchOf } from './test-receivers.ts'

const never = new AbortController().signal

test('whatever a sink refuses, and wherever it stops: each entry is confirmed or parked once, in order, up to there', async () => {
  const seqs = fc.uniqueArray(fc.integer({ min: 1, max: 40 }))
  await fc.assert(
    fc.asyncProperty(seqs, fc.integer({ min: 0, max: 30 }), async (poison, answersBeforeItGoes) => {
      const batch = batchOf(1, 40)
      const taken: number[] = []
      const steps: Progress[] = []
      let answers = 0
      const sink = {
        async deliver(entries: typeof batch): Promise<Delivery> {
          answers += 1
          if (answers > answersBeforeItGoes + 10) return unavailable('gone')
          if (entries.some(({ seq }) => poison.includes(seq))) return refused('no')
          taken.push(...entries.map(({ seq }) => seq))
          return confirmed
        },
      }
      const failure = await deliverAll(sink, batch, never, async (step) => {
        steps.push(step)
      })
      const through = steps.at(-1)?.throughSeq ?? 0
      const parked = steps.flatMap(({ refusals }) => refusals.map(({ seq }) => seq))
      const upTo = Array.from({ length: through }, (_, index) => index + 1)
      assert.equal(through === 40, failure === null)
      assert.deepEqual(
        parked,
        upTo.filter((seq) => poison.includes(seq)),
      )
      assert.deepEqual(
        taken,
        upTo.filter((seq) => !poison.includes(seq)),
      )
      const marks = steps.map(({ throughSeq }) => throughSeq)
      assert.deepEqual(
        marks,
        marks.toSorted((one, other) => one - other),
      )
    }),
  )
})

test('a sink that refuses all of a batch is not asked about each of it', async () => {
  let asked = 0
  const sink = {
    async deliver(): Promise<Delivery> {
      asked += 1
      return refused('none of them', true)
    },
  }
  const steps: Progress[] = []
  await deliverAll(sink, batchOf(1, 40), never, async (step) => {
    steps.push(step)
  })
  assert.equal(asked, 1)
  assert.equal(steps[0]?.refusals.length, 40)
})
