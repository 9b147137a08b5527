import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
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
      const spool = new Spool(newDirectory(), 1024 * 1024 * 1024)
      for (const [index, frame] of frames.entries()) spool.append(index + 1, frame)
      for (const [index, frame] of frames.entries()) {
        assert.deepEqual(Uint8Array.from(spool.read(index + 1) ?? []), frame)
      }
      const first = from % frames.length
      for (let index = first; index < frames.length; index++) {
        assert.deepEqual(Uint8Array.from(spool.read(index + 1) ?? []), frames[index])
      }
      assert.equal(spool.read(frames.length + 1), null)
      spool.remove()
    }),
    { numRuns: 40 },
  )
})

test('a reader that is now behind and now level with the writer gets every frame once', () => {
  const run = fc.array(fc.record({ write: fc.nat(4), read: fc.nat(4) }), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(run, fc.integer({ min: 1, max: 60_000 }), (steps, length) => {
      const spool = new Spool(newDirectory(), 1024 * 1024 * 1024)
      let written = 0
      let read = 0
      for (const step of steps) {
        for (let count = 0; count < step.write; count++) spool.append(++written, Buffer.alloc(length, written))
        for (let count = 0; count < step.read && read < written; count++) {
          assert.deepEqual(spool.read(++read), Buffer.alloc(length, read))
        }
      }
      spool.remove()
    }),
    { numRuns: 60 },
  )
})

test('what is acknowledged leaves the disk, what is not stays readable', () => {
  const directory = newDirectory()
  const spool = new Spool(directory, 1024 * 1024 * 1024)
  const frame = Buffer.alloc(60_000, 7)
  for (let seq = 1; seq <= 300; seq++) spool.append(seq, frame)
  assert.ok(readdirSync(directory).length > 3)
  spool.acknowledge(299)
  assert.equal(readdirSync(directory).length, 1)
  assert.deepEqual(spool.read(300), frame)
  assert.equal(spool.read(1), null)
  spool.remove()
  assert.ok(!existsSync(directory))
})

test('a full spool takes nothing more, and takes again after an acknowledgement', () => {
  const spool = new Spool(newDirectory(), 9 * 1024 * 1024)
  const frame = Buffer.alloc(64 * 1024)
  let seq = 0
  assert.throws(() => {
    for (;;) {
      spool.append(seq + 1, frame)
      seq++
    }
  }, SpoolError)
  spool.keepInMemory(seq + 1, Buffer.from('last words'))
  assert.equal(spool.read(seq + 1)?.toString(), 'last words')
  spool.acknowledge(seq - 1)
  spool.append(seq + 1, frame)
  spool.remove()
})

test('a spool whose directory is there already, or can not be made, is refused', () => {
  const directory = newDirectory()
  const spool = new Spool(directory, 1024)
  assert.throws(() => new Spool(directory, 1024), SpoolError)
  assert.throws(() => new Spool(join(directory, 'missing', 'parent'), 1024), SpoolError)
  spool.remove()
})
