import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { makeTitle, type TitleFacts } from './title.ts'

const facts: TitleFacts = {
  argv: ['/usr/local/bin/claude', '--continue'],
  agent: 'claude',
  mode: 'plan',
  project: '/home/alice/code/app',
  directory: '/home/alice/code/app/docs',
}

describe('a session without a title of its own', () => {
  for (const [what, format, given, title] of [
    ['has the name of its program', undefined, facts, 'claude'],
    [
      'has what the format says',
      '{agent} ({mode}): {project}, {directory} by {program}',
      facts,
      'claude (plan): app, docs by claude',
    ],
    [
      'has single blanks where a field says nothing',
      ' {agent}  {mode} in {project} ',
      { ...facts, agent: null, mode: null },
      'in app',
    ],
    [
      'has the name of its program where nothing is left',
      '{agent} {mode}',
      { ...facts, agent: null, mode: null },
      'claude',
    ],
    [
      'has names as they are, fields and all',
      '{project}',
      { ...facts, project: '/srv/{agent} $& $1' },
      '{agent} $& $1',
    ],
    ['has one line', '{project}', { ...facts, project: '/srv/two\n\tlines' }, 'two lines'],
    ['in the root has what else there is', '{program} in {project}', { ...facts, project: '/' }, 'claude in'],
    ['has braces that are no field', '{program} {', facts, 'claude {'],
  ] as const) {
    test(what, () => assert.equal(makeTitle(format, given), title))
  }

  test('has at most 200 characters, and never half of one', () => {
    assert.equal(makeTitle(`${'x'.repeat(199)}{project}`, { ...facts, project: '/😀' }), 'x'.repeat(199))
    assert.equal(makeTitle(`${'x'.repeat(198)}{project}`, { ...facts, project: '/😀' }), `${'x'.repeat(198)}😀`)
    assert.equal(makeTitle(undefined, { ...facts, argv: ['y'.repeat(300)] }), 'y'.repeat(200))
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' }), (format, name) => {
        const title = makeTitle(`${format}{project}{project}${'{project}'.repeat(40)}`, {
          ...facts,
          project: `/${name}`,
        })
        assert.ok(title.isWellFormed() && title.length >= 1 && title.length <= 200, title)
      }),
    )
  })
})
