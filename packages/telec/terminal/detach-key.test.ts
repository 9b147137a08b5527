import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { detachKey } from '@teleclaude/config/defaults.ts'
import fc from 'fast-check'
import { type DetachKey, parseDetachKey, readTyped } from './detach-key.ts'

const key = parseDetachKey(detachKey)

/** What is sent of what comes in these parts, whether that lets go, and what is kept back at the end. */
function type(parts: readonly Buffer[], typedKey: DetachKey = key) {
  const sent: Buffer[] = []
  let held: Buffer = Buffer.alloc(0)
  let detached = false
  for (const part of parts) {
    const typed = readTyped(typedKey, held, part)
    sent.push(typed.send)
    held = typed.held
    detached = typed.detached
    if (detached) break
  }
  return { sent: Buffer.concat(sent).toString('latin1'), held: held.toString('latin1'), detached }
}

test('the keys are those that were named', () => {
  const pairs = new Map([
    ['ctrl-\\ d', '\x1cd'],
    ['ctrl-a a', '\x01a'],
    ['ctrl-z q', '\x1aq'],
    ['ctrl-] x', '\x1dx'],
    ['ctrl-^ x', '\x1ex'],
    ['ctrl-_ x', '\x1fx'],
  ])
  for (const [named, own] of pairs) {
    for (const typed of pairs.values()) {
      assert.equal(type([Buffer.from(typed)], parseDetachKey(named)).detached, typed === own, named)
    }
  }
})

describe('typed in one part, or cut up anywhere', () => {
  for (const [what, typed, sent, held, detached] of [
    ['the two keys let go, after what was typed before them', 'ls\r\x1cdmore', 'ls\r', '', true],
    ['the first key twice is sent once', 'a\x1c\x1cb', 'a\x1cb', '', false],
    ['the first key twice and the letter let nothing go', '\x1c\x1cd', '\x1cd', '', false],
    ['the first key three times and the letter let go', '\x1c\x1c\x1cd', '\x1c', '', true],
    ['the first key and any other are both sent', '\x1cx\x1cD\x1c\x04', '\x1cx\x1cD\x1c\x04', '', false],
    ['the first key alone is kept back', 'a\x1c', 'a', '\x1c', false],
    ['the letter alone is text', 'dd', 'dd', '', false],
  ] as const) {
    test(what, () => {
      const bytes = Buffer.from(typed, 'latin1')
      assert.deepEqual(type([bytes]), { sent, held, detached })
      assert.deepEqual(type(Array.from(bytes, (byte) => Buffer.of(byte))), { sent, held, detached })
    })
  }
})

describe('typed in other forms than a byte', () => {
  const up = '\x1b[92;5:3u'
  for (const [what, typed, sent, held, detached] of [
    ['the two keys let go', 'ls\x1b[92;5ud', 'ls', '', true],
    [
      'they do with any lock on, and where it is told when a key goes up',
      '\x1b[92;133:1u\x1b[92;133:3ud',
      '',
      '',
      true,
    ],
    ['they do where other characters of the key are told', '\x1b[92:124:35;5ud', '', '', true],
    ['they do where every key is told', '\x1b[92;5u\x1b[57442;1:3u\x1b[100;1:1;100u', '', '', true],
    ['they do where the letter is told alone', '\x1b[92;5u\x1b[100u', '', '', true],
    ['they do as xterm tells them', '\x1b[27;5;92~d', '', '', true],
    ['the first key twice is sent once', `\x1b[92;5u${up}\x1b[92;5u${up}d`, `\x1b[92;5u${up}d`, '', false],
    ['the first key and any other are both sent', `\x1b[92;5u${up}x`, `\x1b[92;5u${up}x`, '', false],
    ['the first key alone is kept back', `a\x1b[92;5u${up}`, 'a', `\x1b[92;5u${up}`, false],
    ['the letter with Ctrl is another key', '\x1b[92;5u\x1b[100;5u', '\x1b[92;5u\x1b[100;5u', '', false],
    ['the first key without Ctrl, or with more, is another', '\x1b[92ud\x1b[92;7ud', '\x1b[92ud\x1b[92;7ud', '', false],
    ['other keys are as they were', '\x1b[A\x1b[93;5ud\x1b[<35;4;5M', '\x1b[A\x1b[93;5ud\x1b[<35;4;5M', '', false],
  ] as const) {
    test(what, () => assert.deepEqual(type([Buffer.from(typed, 'latin1')]), { sent, held, detached }))
  }
})

function cutUp(bytes: Buffer, at: readonly number[]): readonly Buffer[] {
  const ends = [...at.map((cut) => cut % (bytes.length + 1)).toSorted((one, other) => one - other), bytes.length]
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
}

const cuts = fc.array(fc.nat(), { maxLength: 8 })

test('without the first key all passes as it is, however it is cut up', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), cuts, (bytes, at) => {
      const text = Buffer.from(bytes.filter((byte) => byte !== 0x1c))
      assert.deepEqual(type(cutUp(text, at)), { sent: text.toString('latin1'), held: '', detached: false })
    }),
  )
})

test('nothing is lost or out of its order, and it does not matter how it is cut up', () => {
  // Mostly the keys, written so that they can be read.
  const typed = fc.string({ unit: fc.constantFrom('^', '^', 'd', 'x', 'é'), maxLength: 24 })
  const asBytes = (text: string) => text.replaceAll('^', '\x1c')
  fc.assert(
    fc.property(typed, cuts, (text, at) => {
      // In pairs: the first key and what follows it, or any other.
      const steps = [...text.matchAll(/\^.?|./gu)].map(([step]) => step)
      const end = steps.indexOf('^d')
      const held = end === -1 && steps.at(-1) === '^'
      const sent = steps.slice(0, end !== -1 ? end : held ? -1 : undefined).map((step) => (step === '^^' ? '^' : step))
      assert.deepEqual(type(cutUp(Buffer.from(asBytes(text)), at)), {
        sent: Buffer.from(asBytes(sent.join(''))).toString('latin1'),
        held: held ? '\x1c' : '',
        detached: end !== -1,
      })
    }),
  )
})
