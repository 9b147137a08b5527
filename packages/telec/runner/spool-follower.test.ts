import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { decodeChunk, encodeChunk } from '@teleclaude/core/transcript.ts'
import fc from 'fast-check'
import { Spool } from './spool.ts'
import { SpoolFollower } from './spool-follower.ts'

const frameOf = (seq: number, length: number) =>
  encodeChunk({ seq, kind: 'output', offsetUs: seq, bytes: Buffer.alloc(length, seq) })

type Followed = {
  readonly follower: SpoolFollower
  readonly seqs: number[]
  readonly isLost: () => boolean
  /** Resolves when that many chunks have come, or it is lost. */
  until(count: number): Promise<void>
}

function follow(directory: string, onFrame: (frame: Buffer) => void = () => undefined): Followed {
  const seqs: number[] = []
  let isLost = false
  let wake: () => void = () => undefined
  const follower = SpoolFollower.open(directory, {
    frame: (frame) => {
      seqs.push(decodeChunk(frame).seq)
      onFrame(frame)
      wake()
      return 'done'
    },
    behind: () => undefined,
    lost: () => {
      isLost = true
      wake()
    },
  })
  assert.ok(follower !== null)
  follower.start()
  return {
    follower,
    seqs,
    isLost: () => isLost,
    async until(count) {
      while (seqs.length < count && !isLost) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}

function makeSpool(t: TestContext): Spool {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return Spool.create(join(directory, 'spool'), Number.MAX_SAFE_INTEGER)
}

test('every chunk comes once, in order, whatever is written how fast, over many segments', async () => {
  const lengths = fc.array(fc.constantFrom(0, 1, 100, 5_000, 65_536, 65_536), { minLength: 1, maxLength: 250 })
  await fc.assert(
    fc.asyncProperty(lengths, fc.integer({ min: 1, max: 40 }), async (lengths, atOnce) => {
      const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
      const spool = Spool.create(join(directory, 'spool'), Number.MAX_SAFE_INTEGER)
      let bytes = 0
      const followed = follow(spool.directory, (frame) => {
        bytes += decodeChunk(frame).bytes.length
      })
      for (const [index, length] of lengths.entries()) {
        spool.append(index + 1, frameOf(index + 1, length))
        if (index % atOnce === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      await followed.until(lengths.length)
      followed.follower.close()
      spool.close()
      rmSync(directory, { recursive: true })
      assert.deepEqual(
        followed.seqs,
        [...lengths.keys()].map((index) => index + 1),
      )
      assert.equal(
        bytes,
        lengths.reduce<number>((sum, length) => sum + length, 0),
      )
    }),
    { numRuns: 20 },
  )
})

test('a chunk that is half written is waited for', async (t) => {
  const spool = makeSpool(t)
  spool.append(1, frameOf(1, 10))
  const followed = follow(spool.directory)
  const other = makeSpool(t)
  other.append(1, frameOf(1, 10))
  other.append(2, frameOf(2, 1000))
  const name = '0000000000000001.chunks'
  const whole = readFileSync(join(other.directory, name))
  const first = readFileSync(join(spool.directory, name)).length
  const path = join(spool.directory, name)
  for (const cut of [first + 3, first + 8, first + 30, whole.length - 1]) {
    appendFileSync(path, whole.subarray(readFileSync(path).length, cut))
    followed.follower.readAll()
    assert.deepEqual(followed.seqs, [1])
  }
  appendFileSync(path, whole.subarray(whole.length - 1))
  await followed.until(2)
  assert.deepEqual(followed.seqs, [1, 2])
  followed.follower.close()
})

test('nothing comes while it is held, and all of it when it goes on', async (t) => {
  const spool = makeSpool(t)
  const followed = follow(spool.directory)
  spool.append(1, frameOf(1, 10))
  await followed.until(1)
  followed.follower.hold()
  for (let seq = 2; seq <= 100; seq++) spool.append(seq, frameOf(seq, 65_536))
  followed.follower.readAll()
  assert.deepEqual(followed.seqs, [1])
  followed.follower.goOn()
  await followed.until(100)
  assert.equal(followed.seqs.at(-1), 100)
  assert.equal(followed.follower.segments, 2)
  followed.follower.close()
})

test('of a spool that is removed, what is open is read, and then it is said that there is no more', async (t) => {
  const spool = makeSpool(t)
  const followed = follow(spool.directory, (frame) => {
    if (decodeChunk(frame).seq === 1) followed.follower.hold()
  })
  for (let seq = 1; seq <= 200; seq++) spool.append(seq, frameOf(seq, 65_536))
  const inFirst = 64
  await followed.until(1)
  assert.deepEqual(followed.seqs, [1])
  renameSync(spool.directory, `${spool.directory}.removed`)
  rmSync(`${spool.directory}.removed`, { recursive: true })
  followed.follower.goOn()
  await followed.until(200)
  assert.equal(followed.isLost(), true)
  assert.deepEqual(
    followed.seqs,
    [...Array(inFirst).keys()].map((index) => index + 1),
  )
})

test('where what comes next has been taken by the service already, it is said', async (t) => {
  const spool = makeSpool(t)
  for (let seq = 1; seq <= 100; seq++) spool.append(seq, frameOf(seq, 65_536))
  spool.acknowledge(100)
  spool.release(100)
  const follower = SpoolFollower.open(spool.directory, {
    frame: () => 'done',
    behind: () => undefined,
    lost: () => undefined,
  })
  assert.equal(follower, null)
})

test('a damaged chunk is not shown, nor what follows', async (t) => {
  const spool = makeSpool(t)
  spool.append(1, frameOf(1, 10))
  const followed = follow(spool.directory)
  await followed.until(1)
  appendFileSync(join(spool.directory, '0000000000000001.chunks'), Buffer.from('00000003ffffffffabcabc', 'hex'))
  await followed.until(2)
  assert.deepEqual([followed.seqs, followed.isLost()], [[1], true])
})

test('bytes that are held are written over by nothing', async (t) => {
  const spool = makeSpool(t)
  for (let seq = 1; seq <= 30; seq++) spool.append(seq, frameOf(seq, 65_536))
  const held: Buffer[] = []
  const follower = SpoolFollower.open(spool.directory, {
    frame: (frame) => {
      const { seq } = decodeChunk(frame)
      if (seq % 3 !== 0) return 'done'
      held.push(frame)
      return 'held'
    },
    behind: () => undefined,
    lost: () => undefined,
  })
  follower?.start()
  follower?.readAll()
  follower?.close()
  assert.deepEqual(
    held.map((frame) => decodeChunk(frame)).map(({ seq, bytes }) => [seq, new Set(bytes)]),
    [3, 6, 9, 12, 15, 18, 21, 24, 27, 30].map((seq) => [seq, new Set([seq])]),
  )
})

test('whoever shows it more slowly than it is written is told how far behind that is', async (t) => {
  const spool = makeSpool(t)
  for (let seq = 1; seq <= 100; seq++) spool.append(seq, frameOf(seq, 65_536))
  const waiter = new Int32Array(new SharedArrayBuffer(4))
  const seconds = await new Promise<number>((resolve) => {
    const follower = SpoolFollower.open(spool.directory, {
      frame: () => {
        Atomics.wait(waiter, 0, 0, 60)
        return 'done'
      },
      behind: (seconds) => {
        follower?.close()
        resolve(seconds)
      },
      lost: () => undefined,
    })
    follower?.start()
  })
  assert.ok(seconds > 1, `${seconds}`)
})
