import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Caller } from './caller.ts'
import { type Access, type Action, actions, decide, type Resource, sessionActions, visibleOwner } from './policy.ts'
import { roles } from './role.ts'

type About = 'service' | 'own person' | 'other person' | 'own session' | 'other session'

const resources: Readonly<Record<About, Resource>> = {
  service: { kind: 'service' },
  'own person': { kind: 'person', ownership: 'own' },
  'other person': { kind: 'person', ownership: 'other' },
  'own session': { kind: 'session', ownership: 'own' },
  'other session': { kind: 'session', ownership: 'other' },
}

/** DESIGN, section 6, a column for each role from public to admin: `no` is told why, for `none` there is no such thing. */
const expected: Readonly<Record<Action, Readonly<Partial<Record<About, string>>>>> = {
  //                                     public newcomer contributor member admin
  'health.read': { service: '            yes    yes      yes         yes    yes' },
  'whoami.read': { service: '            yes    yes      yes         yes    yes' },
  'safeguards.read': { service: '        no     yes      yes         yes    yes' },
  'config.read': { service: '            no     no       no          no     yes' },
  'config.reload': { service: '          no     no       no          no     yes' },
  'people.read': { service: '            no     no       no          no     yes' },
  'people.rebind': { service: '          no     no       no          no     yes' },
  'policy.explain': {
    'own person': '                      yes    yes      yes         yes    yes',
    'other person': '                    no     no       no          no     yes',
  },
  'session.create': { service: '         no     yes      yes         yes    yes' },
  'session.list': { service: '           no     yes      yes         yes    yes' },
  'events.read': { service: '            no     yes      yes         yes    yes' },
  'session.read': {
    'own session': '                     no     yes      yes         yes    yes',
    'other session': '                   no     none     none        none   yes',
  },
  'session.stop': {
    'own session': '                     no     yes      yes         yes    yes',
    'other session': '                   no     none     none        none   yes',
  },
  'session.rename': {
    'own session': '                     no     yes      yes         yes    yes',
    'other session': '                   no     none     none        none   yes',
  },
  'session.send': {
    'own session': '                     no     yes      yes         yes    yes',
    'other session': '                   no     none     none        none   no',
  },
  'session.report': {
    'own session': '                     no     yes      yes         yes    yes',
    'other session': '                   no     none     none        none   no',
  },
  'transcript.read': {
    'own session': '                     no     yes      yes         yes    yes',
    'other session': '                   no     none     none        none   no',
  },
  'session.attach': {
    'own session': '                     no     yes      yes         yes    yes',
    'other session': '                   no     none     none        none   no',
  },
  'session.drive': {
    'own session': '                     no     yes      yes         yes    yes',
    'other session': '                   no     none     none        none   no',
  },
  'runner.connect': {
    'own session': '                     no     yes      yes         yes    yes',
    'other session': '                   no     none     none        none   no',
  },
  'access.open': {
    'own session': '                     no     no       no          no     yes',
    'other session': '                   no     none     none        none   yes',
  },
  'access.list': { service: '            no     yes      yes         yes    yes' },
  'access.end': { service: '             no     no       no          no     yes' },
  'notices.read': { service: '           no     yes      yes         yes    yes' },
  'audit.read': { service: '             no     yes      yes         yes    yes' },
  'audit.prove': { service: '            no     yes      yes         yes    yes' },
  'audit.export': { service: '           no     no       no          no     yes' },
  'audit.acknowledge': { service: '      no     no       no          no     yes' },
  'audit.rotate': { service: '           no     no       no          no     yes' },
  'metrics.read': { service: '           no     no       no          no     yes' },
}

const looking: readonly Action[] = ['transcript.read', 'session.attach']
const driving: readonly Action[] = ['session.drive', 'session.send']
/** What is the owner's, whatever somebody opens. */
const ownersAlone: readonly Action[] = ['runner.connect', 'session.report']
const content: readonly Action[] = [...looking, ...driving, ...ownersAlone]

type Asking = Pick<Caller, 'person' | 'role' | 'refusal'>

function callerWith(role: Caller['role']): Asking {
  return { person: role === 'public' ? null : 'alice', role, refusal: 'not you' }
}

function verdict(caller: Asking, action: Action, resource: Resource): 'yes' | 'no' | 'none' {
  const decision = decide(caller, action, resource)
  return decision.allow ? 'yes' : decision.hidden ? 'none' : 'no'
}

const anyAction = fc.constantFrom(...actions)
const opened = (access: Access | null): Resource => ({ kind: 'session', ownership: 'other', access })
const anyAccess = fc.constantFrom<(Access | null)[]>(null, 'view', 'drive')
const anyResource = fc.constantFrom(...Object.values(resources), opened('view'), opened('drive'))
const anyRole = fc.constantFrom(...roles)
/** Also those that nobody should make: somebody without a name, a public person. */
const anyCaller: fc.Arbitrary<Asking> = fc.record({
  person: fc.option(fc.constantFrom('alice', '')),
  role: anyRole,
  refusal: fc.string(),
})

test('every action is decided as the design says, by role and by whose it is', () => {
  for (const [action, rows] of Object.entries(expected)) {
    for (const [about, row] of Object.entries(rows)) {
      const decided = roles.map((role) => verdict(callerWith(role), action as Action, resources[about as About]))
      assert.deepEqual(decided, row.trim().split(/\s+/), `${action} on ${about}`)
    }
  }
  const about = Object.entries(expected).filter(([, rows]) => 'own session' in rows)
  assert.deepEqual(about.map(([action]) => action).toSorted(), [...sessionActions].toSorted())
})

test('a stronger role may never do less', () => {
  fc.assert(
    fc.property(anyAction, anyResource, anyRole, anyRole, (action, resource, one, other) => {
      const [weak, strong] = roles.indexOf(one) <= roles.indexOf(other) ? [one, other] : [other, one]
      if (decide(callerWith(weak), action, resource).allow)
        assert.ok(decide(callerWith(strong), action, resource).allow, `${weak} may ${action}, ${strong} may not`)
    }),
  )
})

test("nobody, in whatever role, gets at the content of somebody else's session without a grant", () => {
  fc.assert(
    fc.property(anyCaller, fc.constantFrom(...content), (caller, action) => {
      assert.equal(decide(caller, action, resources['other session']).allow, false)
      assert.equal(decide(caller, action, opened(null)).allow, false)
    }),
  )
})

test('a grant opens what it says to an admin and nothing to anybody else: to type takes one to drive', () => {
  fc.assert(
    fc.property(anyCaller, fc.constantFrom(...content), anyAccess, (caller, action, access) => {
      const isAdmin = caller.role === 'admin' && caller.person !== null
      const opens = { view: looking, drive: [...looking, ...driving] }
      const isOpen = isAdmin && access !== null && opens[access].includes(action)
      assert.equal(decide(caller, action, opened(access)).allow, isOpen)
    }),
  )
})

test('a grant takes nothing away, and one to drive allows what one to look does', () => {
  const rank = (access: Access | null) => [null, 'view', 'drive'].indexOf(access)
  fc.assert(
    fc.property(anyCaller, anyAction, anyAccess, anyAccess, (caller, action, one, other) => {
      const [less, more] = rank(one) <= rank(other) ? [one, other] : [other, one]
      if (decide(caller, action, opened(less)).allow) assert.ok(decide(caller, action, opened(more)).allow)
    }),
  )
})

test('what is known of grants changes nothing about what is one’s own, nor about what is hidden', () => {
  fc.assert(
    fc.property(anyCaller, anyAction, anyAccess, (caller, action, access) => {
      const own = decide(caller, action, { kind: 'session', ownership: 'own', access })
      assert.deepEqual(own, decide(caller, action, resources['own session']))
      if (caller.role === 'admin') return
      assert.deepEqual(decide(caller, action, opened(access)), decide(caller, action, resources['other session']))
    }),
  )
})

test('who is nobody gets health, who they are and what they may, and is told what to do about the rest', () => {
  const open: readonly Action[] = ['health.read', 'whoami.read']
  fc.assert(
    fc.property(anyCaller, anyAction, anyResource, (caller, action, resource) => {
      fc.pre(caller.role === 'public' || caller.person === null)
      const isOpen = open.includes(action) && resource.kind === 'service'
      const isOwn = action === 'policy.explain' && resource === resources['own person']
      const decision = decide(caller, action, resource)
      if (isOpen || isOwn) assert.ok(decision.allow)
      else assert.deepEqual(decision, { allow: false, hidden: false, reason: caller.refusal })
    }),
  )
})

test("somebody else's session does not exist for who is no admin, whatever is asked of it, and all else is said openly", () => {
  fc.assert(
    fc.property(anyCaller, anyAction, anyResource, (caller, action, resource) => {
      const isKnown = caller.role !== 'public' && caller.person !== null
      const isOthers = resource.kind === 'session' && resource.ownership === 'other'
      const isHidden = isKnown && caller.role !== 'admin' && isOthers
      assert.equal(verdict(caller, action, resource) === 'none', isHidden)
    }),
  )
})

test('what is about another person is for admins, also what no route asks yet', () => {
  fc.assert(
    fc.property(anyCaller, anyAction, (caller, action) => {
      fc.pre(caller.role !== 'admin')
      assert.equal(decide(caller, action, resources['other person']).allow, false)
    }),
  )
})

test('who sees all sessions is who may see one of another person', () => {
  fc.assert(
    fc.property(anyCaller, (caller) => {
      const visible = visibleOwner(caller)
      const seesOthers = decide(caller, 'session.read', resources['other session']).allow
      assert.equal(visible.kind === 'all', seesOthers)
      // Nobody is called ''.
      if (visible.kind === 'person') assert.equal(visible.person, caller.person ?? '')
    }),
  )
})
