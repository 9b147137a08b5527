import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import type { Preferences } from './preferences.ts'
import { forProject } from './project-preferences.ts'

const home = '/no-such-home/alice'

describe('in a project', () => {
  const preferences: Preferences = {
    agent: 'claude',
    mode: 'plan',
    projects: {
      '~/code/app': { mode: 'edit' },
      '~/code': { agent: 'codex', title: '{project}' },
      '/no-such-srv/': { agent: 'gemini' },
      '/': { title: 'root' },
    },
  }
  for (const [where, path, expected] of [
    ['its own entry counts, key by key', `${home}/code/app`, { agent: 'claude', mode: 'edit', title: undefined }],
    ['below an entry, that counts', `${home}/code/app/deep/er`, { agent: 'claude', mode: 'edit', title: undefined }],
    ['the nearest entry counts alone', `${home}/code/other`, { agent: 'codex', mode: 'plan', title: '{project}' }],
    ['a name that only begins alike is another', `${home}/code-shop`, { agent: 'claude', mode: 'plan', title: 'root' }],
    [
      'a slash at the end of a path says nothing',
      '/no-such-srv/x',
      { agent: 'gemini', mode: 'plan', title: undefined },
    ],
    ['the root is above all', '/elsewhere', { agent: 'claude', mode: 'plan', title: 'root' }],
  ] as const) {
    test(where, () => assert.deepEqual(forProject(preferences, path, home), expected))
  }

  test('links are followed in what is written, as they were in the path of the project', () => {
    const real = realpathSync(mkdtempSync(join(tmpdir(), 'teleclaude-')))
    after(() => rmSync(real, { recursive: true }))
    mkdirSync(join(real, 'data', 'app'), { recursive: true })
    symlinkSync(join(real, 'data'), join(real, 'link'))
    const linked: Preferences = { projects: { '~/app': { agent: 'codex' } } }
    assert.equal(forProject(linked, join(real, 'data', 'app'), join(real, 'link')).agent, 'codex')
  })
})

const step = fc.constantFrom('a', 'b', 'c')
const steps = fc.array(step, { maxLength: 4 })
const entries = fc.uniqueArray(
  fc.record({
    steps,
    own: fc.record(
      { agent: fc.constantFrom('x', 'y'), mode: fc.constantFrom('m', 'n'), title: fc.constantFrom('s', 't') },
      { requiredKeys: [] },
    ),
  }),
  { selector: (entry) => entry.steps.join('/'), maxLength: 8 },
)
const top = fc.record({ agent: fc.constant('top'), mode: fc.constant('top') }, { requiredKeys: [] })
const pathOf = (at: readonly string[]) => ['/no-such-root', ...at].join('/')
const projectsOf = (list: readonly { readonly steps: readonly string[]; readonly own: object }[]) =>
  Object.fromEntries(list.map((entry) => [pathOf(entry.steps), entry.own]))

test('the longest path that matches counts over the top, and nothing else has a say', () => {
  fc.assert(
    fc.property(top, entries, steps, (preferences, list, at) => {
      const matching = list.filter((entry) => entry.steps.every((name, index) => at[index] === name))
      const longest = matching.toSorted((one, other) => other.steps.length - one.steps.length)[0]
      const nothing = { agent: undefined, mode: undefined, title: undefined }
      assert.deepEqual(forProject({ ...preferences, projects: projectsOf(list) }, pathOf(at), home), {
        ...nothing,
        ...preferences,
        ...longest?.own,
      })
    }),
  )
})

test('the order of the entries does not matter, nor how a path is written', () => {
  const shuffled = entries.chain((list) =>
    fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length, maxLength: list.length })),
  )
  fc.assert(
    fc.property(top, shuffled, steps, (preferences, [list, other], at) => {
      const found = forProject({ ...preferences, projects: projectsOf(list) }, pathOf(at), '/no-such-root')
      assert.deepEqual(forProject({ ...preferences, projects: projectsOf(other) }, pathOf(at), '/no-such-root'), found)
      const underHome = other.map((entry) => [['~', ...entry.steps].join('/'), entry.own])
      const rewritten = { ...preferences, projects: Object.fromEntries(underHome) }
      assert.deepEqual(forProject(rewritten, pathOf(at), '/no-such-root'), found)
    }),
  )
  const twice = { '~/a': { agent: 'x' }, '/no-such-root/a': { agent: 'y' } }
  const reversed = Object.fromEntries(Object.entries(twice).reverse())
  assert.deepEqual(
    forProject({ projects: twice }, '/no-such-root/a', '/no-such-root'),
    forProject({ projects: reversed }, '/no-such-root/a', '/no-such-root'),
  )
})
