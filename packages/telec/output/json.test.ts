import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { toJson } from './json.ts'

test('whatever is in it, it is the same value, in one line of printable characters', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const object = { value }
      const text = toJson(object)
      assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(object)))
      assert.doesNotMatch(text, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    }),
  )
  assert.equal(toJson({ title: '\u009b2J\u202e\u{e0041}\n' }), '{"title":"\\u009b2J\\u202e\\udb40\\udc41\\n"}')
})
