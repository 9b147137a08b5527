import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { Failure } from './failure.ts'
import { chooseProgram, type ProgramPreferences, type ProgramWish } from './program.ts'

const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
after(() => rmSync(directory, { recursive: true }))
before(() => {
  process.env.PATH = directory
  process.env.SHELL = join(directory, 'my-shell')
  for (const name of ['claude', 'codex', 'gemini', 'constructor', 'my-shell']) {
    writeFileSync(join(directory, name), '')
    chmodSync(join(directory, name), 0o755)
  }
})
beforeEach(() => {
  delete process.env.TELECLAUDE_AGENT
})

const agents: ProgramPreferences['agents'] = {
  claude: { modes: { plan: ['--permission-mode', 'plan'], plain: [] } },
  codex: {},
}
const preferred = { agent: 'claude', mode: 'plan', agents }

function chosen(words: readonly string[], asked: ProgramWish, preferences: ProgramPreferences = preferred) {
  const { argv, agent, mode } = chooseProgram(words, asked, preferences)
  return { argv, agent, mode }
}

const shell = { argv: [join(directory, 'my-shell'), '-l'], agent: null, mode: null }
const planning = { argv: ['claude', '--permission-mode', 'plan'], agent: 'claude', mode: 'plan' }

describe('without a command', () => {
  test('the agent is the one asked for, then that of the environment, then the preferred one, then the login shell', () => {
    process.env.TELECLAUDE_AGENT = 'codex'
    assert.equal(chosen([], { agent: 'gemini' }).agent, 'gemini')
    assert.equal(chosen([], {}).agent, 'codex')
    process.env.TELECLAUDE_AGENT = ''
    assert.deepEqual(chosen([], {}), planning)
    assert.deepEqual(chosen([], {}, {}), shell)
    assert.deepEqual(chosen([], { agent: '' }), shell, 'asked for no agent')
  })

  test('the mode is the one asked for, then the preferred one, and its words follow the agent', () => {
    assert.deepEqual(chosen([], {}), planning)
    assert.deepEqual(chosen([], { mode: 'plain' }), { argv: ['claude'], agent: 'claude', mode: 'plain' })
    assert.deepEqual(chosen([], { mode: 'plan' }, { ...preferred, mode: 'plain' }), planning)
    assert.deepEqual(chosen([], {}, { agent: 'claude', agents }), { argv: ['claude'], agent: 'claude', mode: null })
  })

  test('a preferred mode is for the agents that have it', () => {
    for (const agent of ['codex', 'gemini', 'constructor']) {
      assert.deepEqual(chosen([], { agent }), { argv: [agent], agent, mode: null })
    }
    assert.deepEqual(chosen([], { agent: '' }), shell)
  })

  test('a mode that was asked for and can not be had is refused, with those there are', () => {
    for (const [asked, message] of [
      [{ mode: 'plna' }, 'cannot use the mode plna: claude has no such mode; there are plan, plain'],
      [{ mode: 'constructor' }, 'cannot use the mode constructor: claude has no such mode; there are plan, plain'],
      [
        { mode: 'plan', agent: 'codex' },
        'cannot use the mode plan: codex has no modes; write them into ~/.teleclaude/config.yml, below agents',
      ],
      [{ mode: 'plan', agent: '' }, 'cannot use the mode plan: no agent was chosen; name one with --agent'],
    ] as const) {
      assert.throws(() => chosen([], asked), new Failure(64, message))
    }
  })
})

describe('with a command', () => {
  test('that is what runs, whatever is preferred', () => {
    process.env.TELECLAUDE_AGENT = 'codex'
    assert.deepEqual(chosen(['my-shell', '-c', 'true'], {}), {
      argv: ['my-shell', '-c', 'true'],
      agent: null,
      mode: null,
    })
    assert.deepEqual(chosen(['claude', 'mcp'], {}), { argv: ['claude', 'mcp'], agent: 'claude', mode: null })
  })

  test('there is no mode to ask for', () => {
    assert.throws(
      () => chosen(['claude'], { mode: 'plan' }),
      new Failure(
        64,
        'cannot use the mode plan: a command was given, and modes are for agents; leave one of the two out',
      ),
    )
  })
})
