import assert from 'node:assert/strict'
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { encodeChunk } from '@teleclaude/core/transcript.ts'
import fc from 'fast-check'
import { Spool, SpoolError } from './spool.ts'

const root = mkdtempSync(join(tmpdir(), 'spool-'))
after(() => rmSync(root, { recursive: true }))
let made = 0
const newDirectory = () => join(root, String(made++))

test('frames come back as they were put in, in order and after a rewind', () => {
  const steps = fc.array(fc.uint8Array({ minLength: 1, maxLength: 60_000 }), { minLength: 1, maxLength: 40 })
  fc.assert(
    fc.property(steps, fc.nat(), (frames, from) => {
      const spool = Spool.create(newDirectory(), 1024 * 1024 * 1024)
      const reader = spool.reader()
      for (const [index, frame] of frames.entries()) spool.append(index + 1, frame)
      for (const [index, frame] of frames.entries()) {
        assert.deepEqual(Uint8Array.from(reader.read(index + 1) ?? []), frame)
      }
      const first = from % frames.length
      for (let index = first; index < frames.length; index++) {
        assert.deepEqual(Uint8Array.from(reader.read(index + 1) ?? []), frames[index])
      }
      assert.equal(reader.read(frames.length + 1), null)
      spool.close()
    }),
    { numRuns: 40 },
  )
})

test('a reader that is now behind and now level with the writer gets every frame once', () => {
  const run = fc.array(fc.record({ write: fc.nat(4), read: fc.nat(4) }), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(run, fc.integer({ min: 1, max: 60_000 }), (steps, length) => {
      const spool = Spool.create(newDirectory(), 1024 * 1024 * 1024)
      const reader = spool.reader()
      let written = 0
      let read = 0
      for (const step of steps) {
        for (let count = 0; count < step.write; count++) spool.append(++written, Buffer.alloc(length, written))
        for (let count = 0; count < step.read && read < written; count++) {
          assert.deepEqual(reader.read(++read), Buffer.alloc(length, read))
        }
      }
      spool.close()
    }),
    { numRuns: 60 },
  )
})

test('what is acknowledged, and was seen, leaves the disk; what is not stays readable', () => {
  const directory = newDirectory()
  const spool = Spool.create(directory, 1024 * 1024 * 1024)
  const reader = spool.reader()
  const frame = Buffer.alloc(60_000, 7)
  for (let seq = 1; seq <= 300; seq++) spool.append(seq, frame)
  assert.ok(readdirSync(directory).length > 3)
  const all = readdirSync(directory).length
  spool.acknowledge(299)
  assert.equal(readdirSync(directory).length, all, 'the screen has not seen it')
  spool.release(299)
  assert.equal(readdirSync(directory).length, 1)
  assert.deepEqual(reader.read(300), frame)
  assert.equal(reader.read(1), null)
  spool.close()
})

test('a full spool takes nothing more, and takes again after an acknowledgement', () => {
  const spool = Spool.create(newDirectory(), 9 * 1024 * 1024)
  const reader = spool.reader()
  const frame = Buffer.alloc(64 * 1024)
  let seq = 0
  assert.throws(() => {
    for (;;) {
      spool.append(seq + 1, frame)
      seq++
    }
  }, SpoolError)
  spool.keepInMemory(seq + 1, Buffer.from('last words'))
  assert.equal(reader.read(seq + 1)?.toString(), 'last words')
  spool.release(seq - 1)
  spool.acknowledge(seq - 1)
  spool.append(seq + 1, frame)
  spool.close()
})

test('a spool whose directory is there already, or can not be made, is refused', () => {
  const directory = newDirectory()
  const spool = Spool.create(directory, 1024)
  assert.throws(() => Spool.create(directory, 1024), SpoolError)
  assert.throws(() => Spool.create(join(directory, 'missing', 'parent'), 1024), SpoolError)
  spool.close()
})

test('a spool that somebody removes takes nothing more', () => {
  for (const take of [
    (directory: string) => rmSync(directory, { recursive: true }),
    (directory: string) => rmSync(join(directory, '0000000000000001.chunks')),
  ]) {
    const directory = newDirectory()
    const spool = Spool.create(directory, 1024)
    const reader = spool.reader()
    spool.append(1, Buffer.from('one'))
    take(directory)
    assert.throws(() => spool.append(2, Buffer.from('two')), /cannot write to the spool .*: somebody has removed it/)
    assert.equal(reader.read(1)?.toString(), 'one', 'what was kept can still be sent')
    spool.close()
  }
})

const large = 1024 * 1024 * 1024

/** Chunks as a runner makes them, in a directory that its runner has left. */
function leave(count: number, length: number): string {
  const directory = newDirectory()
  const spool = Spool.create(directory, large)
  for (let seq = 1; seq <= count; seq++) spool.append(seq, frameOf(seq, length))
  spool.close()
  return directory
}

const frameOf = (seq: number, length: number) =>
  encodeChunk({ seq, kind: 'output', offsetUs: seq * 10, bytes: Buffer.alloc(length, seq) })

/** Sequences that it gives back, each with the right bytes. */
function readAll(directory: string, length: number) {
  const { spool, last, damagedBytes } = Spool.open(directory)
  const reader = spool.reader()
  const seqs: number[] = []
  for (let seq = 1; seq <= (last?.seq ?? 0); seq++) {
    const frame = reader.read(seq)
    if (frame === null) continue
    assert.deepEqual(frame, frameOf(seq, length))
    seqs.push(seq)
  }
  spool.close()
  return { seqs, last, damagedBytes }
}

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)

test('what a runner has left is read by somebody else, over several segments', () => {
  const { seqs, last, damagedBytes } = readAll(leave(150, 60_000), 60_000)
  assert.deepEqual(seqs, upTo(150))
  assert.deepEqual(last, { seq: 150, kind: 'output', offsetUs: 1500 })
  assert.equal(damagedBytes, 0)
  assert.deepEqual(readAll(leave(0, 0), 0), { seqs: [], last: null, damagedBytes: 0 })
})

test('after a crash all whole chunks before the damage are read, wherever it is and whatever it looks like', () => {
  const directory = leave(20, 100)
  const name = '0000000000000001.chunks'
  const whole = readFileSync(join(directory, name))
  const recordBytes = whole.length / 20
  const damages = [
    (at: number) => truncateSync(join(directory, name), at),
    (at: number) => writeFileSync(join(directory, name), Buffer.concat([whole.subarray(0, at), Buffer.alloc(5000)])),
    (at: number) => {
      const bytes = Buffer.from(whole)
      bytes[at] = (bytes[at] ?? 0) ^ 1
      writeFileSync(join(directory, name), bytes)
    },
  ]
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.constantFrom(...damages), (at, damage) => {
      writeFileSync(join(directory, name), whole)
      damage(at)
      const { seqs, damagedBytes } = readAll(directory, 100)
      const intact = Math.floor(at / recordBytes)
      // A tail of zeros can happen to be what was there.
      assert.ok(seqs.length >= intact && seqs.length <= intact + 1, `${seqs.length} of ${intact}`)
      assert.deepEqual(seqs, upTo(seqs.length))
      assert.equal(damagedBytes, statSync(join(directory, name)).size - seqs.length * recordBytes)
    }),
    { numRuns: 300 },
  )
})

test('nothing counts after the first damage, also where later segments are whole', () => {
  const directory = leave(200, 60_000)
  const [, second = '', third = ''] = readdirSync(directory)
  const damaged = newDirectory()
  cpSync(directory, damaged, { recursive: true })
  truncateSync(join(damaged, second), 1_000_000)
  const torn = readAll(damaged, 60_000)
  assert.equal(torn.seqs.length, Number.parseInt(second, 10) - 1 + Math.floor(1_000_000 / (60_000 + 17 + 8)))
  assert.ok(torn.damagedBytes > 1_000_000)
  rmSync(join(directory, second))
  assert.deepEqual(readAll(directory, 60_000).last?.seq, Number.parseInt(second, 10) - 1)
  renameSync(join(directory, third), join(directory, 'not-a-segment'))
  assert.equal(readAll(directory, 60_000).damagedBytes > 0, false)
})
