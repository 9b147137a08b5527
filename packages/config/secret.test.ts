import assert from 'node:assert/strict'
import { test } from 'node:test'
import { format, inspect } from 'node:util'
import { Secret } from './secret.ts'

test('a secret is revealed by its name only, however it is printed, logged, serialised or copied', () => {
  const secret = new Secret('hunter2')
  assert.equal(secret.reveal(), 'hunter2')
  const held = { secret, list: [secret], map: new Map([['secret', secret]]), error: new Error(`no: ${secret}`) }
  for (const printed of [
    String(secret),
    `${secret}`,
    ['', secret].join(),
    JSON.stringify(held),
    inspect(held, { depth: null, showHidden: true, getters: true }),
    inspect(held, { depth: null, showHidden: true, customInspect: false }),
    format('%s %o %O %j %d', secret, secret, secret, secret, secret),
    JSON.stringify({ ...secret }),
    JSON.stringify(Object.entries(secret)),
    inspect(structuredClone(secret), { showHidden: true }),
    inspect(Object.assign({}, secret)),
  ]) {
    assert.ok(!printed.includes('hunter2'), printed)
  }
  assert.equal(`${secret}`, '<secret>')
  assert.equal(JSON.stringify({ secret }), '{"secret":"<secret>"}')
  assert.equal(inspect({ secret }), '{ secret: <secret> }')
})
