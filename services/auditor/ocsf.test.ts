import assert from 'node:assert/strict'
import { test } from 'node:test'
import { auditActions } from '@teleclaude/core/audit.ts'
import { ocsfVersion, toOcsf } from './ocsf.ts'
import { entry } from './test-receivers.ts'

test('an entry is API Activity, with all that the class requires', () => {
  const made = toOcsf(entry(7, { action: 'content.opened', detail: { kind: 'attach' } }))
  assert.deepEqual(
    [made.category_uid, made.class_uid, made.activity_id, made.type_uid, made.severity_id, made.status_id],
    [6, 6003, 2, 600_302, 1, 1],
  )
  assert.equal(made.time, 1_700_000_000_123)
  assert.equal(made.metadata.version, ocsfVersion)
  assert.equal(made.metadata.uid, 'build-box:1:7')
  assert.deepEqual(made.metadata.product, { name: 'TeleClaude', vendor_name: 'TeleClaude' })
  assert.deepEqual(made.actor, { user: { name: 'alice', uid: '1000' } })
  assert.deepEqual(made.api, { operation: 'content.opened', service: { name: 'teleclaude' } })
  assert.deepEqual(made.src_endpoint, { hostname: 'build-box' })
  assert.deepEqual(made.resources, [
    { type: 'session', uid: '11111111-1111-4111-8111-111111111111', owner: { name: 'alice' } },
  ])
  assert.deepEqual(made.unmapped.detail, { kind: 'attach' })
})

test('its exact bytes stand in raw_data, whatever they hold', () => {
  const made = entry(7)
  assert.equal(toOcsf(made).raw_data, Buffer.from(made.bytes).toString('utf8'))
  assert.deepEqual(Buffer.from(JSON.parse(JSON.stringify(toOcsf(made))).raw_data), Buffer.from(made.bytes))
})

test('a service and somebody without a name are actors, too', () => {
  const service = toOcsf(entry(1, { actor: { kind: 'service', name: 'api' } }))
  assert.deepEqual(service.actor, { app_name: 'api' })
  const nobody = toOcsf(entry(1, { actor: { kind: 'caller', person: null, osUser: null, uid: 4000, pid: 1 } }))
  assert.deepEqual(nobody.actor, { user: { uid: '4000' } })
  assert.equal('resources' in toOcsf(entry(1, { session: null })), false)
})

test('every action has an activity whose type says the same, and an alarm is severe', () => {
  for (const action of auditActions) {
    const made = toOcsf(entry(1, { action }))
    assert.equal(made.type_uid, 600_300 + made.activity_id, action)
    assert.equal(made.severity_id, action === 'alarm.raised' ? 4 : 1, action)
    if (made.activity_id === 99) assert.equal(made.activity_name, action)
  }
})
