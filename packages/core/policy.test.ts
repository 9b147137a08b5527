import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Caller } from './caller.ts'
import { type Action, actions, decide, type Resource, visibleOwner } from './policy.ts'
import { type Role, roles } from './role.ts'

const forAdmins: readonly Action[] = ['config.read', 'config.reload']
const content: readonly Action[] = ['transcript.read', 'session.attach', 'session.drive', 'runner.connect']

function callerWith(role: Role): Caller {
  const person = role === 'public' ? null : 'alice'
  return { credentials: { uid: 1000, gid: 1000, groups: [], pid: 1 }, osUser: 'alice', person, role, because: 'a test' }
}
const session = (ownership: 'own' | 'other'): Resource => ({ kind: 'session', ownership })

test('the public may ask who they are and whether the service is up, nothing else', () => {
  for (const action of actions) {
    const expected = action === 'whoami.read' || action === 'health.read'
    for (const resource of [{ kind: 'service' }, session('own'), session('other')] as const) {
      assert.equal(
        decide(callerWith('public'), action, resource).allow,
        expected,
        `${action} on ${JSON.stringify(resource)}`,
      )
    }
  }
})

test('everybody known may do everything with their own sessions', () => {
  for (const role of roles.filter((name) => name !== 'public')) {
    for (const action of actions.filter((name) => !forAdmins.includes(name)))
      assert.ok(decide(callerWith(role), action, session('own')).allow, `${role} ${action}`)
  }
})

test('how the service is configured is for admins to see and to reload', () => {
  for (const action of forAdmins) {
    for (const role of roles)
      assert.equal(decide(callerWith(role), action, { kind: 'service' }).allow, role === 'admin', `${role} ${action}`)
  }
})

test("nobody gets at the content of somebody else's session", () => {
  for (const role of roles)
    for (const action of content) assert.equal(decide(callerWith(role), action, session('other')).allow, false)
})

test("somebody else's session does not exist for anybody but an admin, who sees and may stop it", () => {
  for (const role of roles.filter((name) => name !== 'public' && name !== 'admin')) {
    for (const action of ['session.read', 'session.stop', ...content] as const) {
      assert.partialDeepStrictEqual(decide(callerWith(role), action, session('other')), { allow: false, hidden: true })
    }
    assert.deepEqual(visibleOwner(callerWith(role)), { kind: 'person', person: 'alice' })
  }
  assert.ok(decide(callerWith('admin'), 'session.read', session('other')).allow)
  assert.ok(decide(callerWith('admin'), 'session.stop', session('other')).allow)
  assert.deepEqual(visibleOwner(callerWith('admin')), { kind: 'all' })
})

test('a stronger role may never do less', () => {
  for (const action of actions) {
    for (const resource of [{ kind: 'service' }, session('own'), session('other')] as const) {
      const allowed = roles.map((role) => decide(callerWith(role), action, resource).allow)
      assert.deepEqual(
        allowed,
        allowed.toSorted((a, b) => Number(a) - Number(b)),
        action,
      )
    }
  }
})
