import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { paint, wantsColour } from './style.ts'

describe('colour', () => {
  for (const [what, isTTY, env, wanted] of [
    ['is for terminals', true, {}, true],
    ['is not for pipes and files', false, {}, false],
    ['is not for terminals that have none', true, { TERM: 'dumb' }, false],
    ['is off with NO_COLOR', true, { NO_COLOR: '1' }, false],
    ['is not off with an empty NO_COLOR', true, { NO_COLOR: '' }, true],
    ['is on with FORCE_COLOR', false, { FORCE_COLOR: '1' }, true],
    ['is on with an empty FORCE_COLOR', false, { FORCE_COLOR: '' }, true],
    ['is off with a FORCE_COLOR of 0', true, { FORCE_COLOR: '0' }, false],
    ['is on with both: force is the stronger', false, { FORCE_COLOR: '3', NO_COLOR: '1' }, true],
  ] as const) {
    test(what, () => assert.equal(wantsColour({ isTTY }, env), wanted))
  }

  for (const [what, isTTY, env, wish, wanted] of [
    ['is on everywhere for who wishes so', false, { TERM: 'dumb' }, 'always', true],
    ['is off on terminals, too, for who wishes so', true, {}, 'never', false],
    ['is for terminals alone without a wish', false, {}, 'auto', false],
    ['is off with NO_COLOR, whatever the wish', true, { NO_COLOR: '1' }, 'always', false],
    ['is on with FORCE_COLOR, whatever the wish', false, { FORCE_COLOR: '1' }, 'never', true],
    ['is off with a FORCE_COLOR of 0, whatever the wish', true, { FORCE_COLOR: '0' }, 'always', false],
  ] as const) {
    test(what, () => assert.equal(wantsColour({ isTTY }, env, wish), wanted))
  }

  test('is an SGR sequence around the text, or nothing', () => {
    assert.equal(paint('x', 'red', true), '\x1b[31mx\x1b[39m')
    assert.equal(paint('x', 'red', false), 'x')
  })
})
