import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { ConfigError, describeFault } from './config-error.ts'
import { type Mode, systemLayout } from './layout.ts'
import { readPreferences } from './preferences.ts'

const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
after(() => rmSync(directory, { recursive: true }))
chmodSync(directory, 0o755)
const file = join(directory, 'config.yml')

function write(text: string): void {
  rmSync(file, { force: true })
  writeFileSync(file, text, { mode: 0o600 })
}

/** Without the file's name: `LINE:COLUMN: KEY PROBLEM; MEND`. */
function faultsOf(mode: Mode): readonly string[] {
  try {
    readPreferences(file, mode)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.faults.map((fault) => `${describeFault(fault).slice(file.length + 1)}; ${fault.mend}`)
  }
}

function refused(text: string, mode: Mode = 'system'): string {
  write(text)
  return faultsOf(mode).join('\n')
}

/** As another user sees it: root may read everything. */
function asUid<Result>(uid: number, look: () => Result): Result {
  process.seteuid?.(uid)
  try {
    return look()
  } finally {
    process.seteuid?.(0)
  }
}

describe('what is written', () => {
  test('is read, in either mode', () => {
    write(`agent: claude
mode: plan
agents:
  claude: { modes: { plan: [--permission-mode, plan], Fast: [] } }
  aider: {}
title: '{agent} in {project}'
colours: always
detach_key: ctrl-a q
notice_style: dim
agent_status: false
projects:
  ~/work: { agent: aider }
legacy: { theme: dark }
`)
    for (const mode of ['system', 'single-user'] as const) {
      assert.deepEqual(readPreferences(file, mode), {
        preferences: {
          agent: 'claude',
          mode: 'plan',
          agents: { claude: { modes: { plan: ['--permission-mode', 'plan'], Fast: [] } }, aider: {} },
          title: '{agent} in {project}',
          colours: 'always',
          detachKey: 'ctrl-a q',
          noticeStyle: 'dim',
          agentStatus: false,
          projects: { '~/work': { agent: 'aider' } },
        },
        warnings: [],
      })
    }
  })

  test('may be nothing, and the file may be missing', () => {
    for (const text of ['', '# nothing\n', '{}', 'agents:\nprojects:\n', '\ufeff']) {
      write(text)
      const { preferences } = readPreferences(file, 'system')
      assert.ok(
        Object.values(preferences).every((value) => value == null),
        text,
      )
    }
    assert.deepEqual(readPreferences(join(directory, 'missing.yml'), 'system').preferences, {})
    assert.deepEqual(readPreferences(join(file, 'below a file'), 'system').preferences, {})
    symlinkSync('nowhere', join(directory, 'dangling.yml'))
    assert.deepEqual(readPreferences(join(directory, 'dangling.yml'), 'system').preferences, {})
  })
})

describe('what is wrong', () => {
  test('is said at once, in the order of the file, with place and mend', () => {
    assert.deepEqual(
      refused(`colors: always
notice_style: loud
people: []
detach_key: d
agent: Claude Code
`).split('\n'),
      [
        '1:1: colors is no key that is known here; did you mean colours?',
        '2:15: notice_style is none of plain, bold, dim; write one of plain, bold, dim',
        `3:1: people is a key of the machine's configuration, which a personal file can't set; take it away, or ask the admin, who sets it in ${systemLayout(process.platform).configFile}`,
        '4:13: detach_key is no pair of keys; write it as "ctrl-\\ d": Ctrl and one of a to z, \\ ] ^ _, a blank, and a small letter',
        '5:8: agent is no name of an agent (1 to 64 of a-z, 0-9, dot, dash and underscore); write the name of a program, such as claude, or take it away for your login shell',
      ],
    )
  })

  test('is every key of the machine, for one of its users; for oneself alone those of a deployment are right', () => {
    for (const key of [
      'host',
      'log_level',
      'notice',
      'database',
      'audit',
      'admin_uid',
      'people',
      'groups',
      'accounts',
    ]) {
      assert.match(
        refused(`agent: claude\n${key}: x\n`),
        new RegExp(`^2:1: ${key} is a key of the machine's configuration`),
      )
    }
    assert.equal(refused('host: build-1\nlog_level: debug\nnotice: Hello.\nagent: claude\n', 'single-user'), '')
    for (const key of ['audit', 'admin_uid', 'people', 'groups', 'accounts']) {
      assert.match(
        refused(`${key}: x\n`, 'single-user'),
        new RegExp(`^1:1: ${key} is for a service of the whole machine`),
      )
    }
  })

  test('is a secret, by its name or its form, and is not repeated', () => {
    const value = `sk-${'abcdefgh'.repeat(4)}`
    for (const text of [`api_key: ${value}\n`, `title: ${value}\n`, `agents: { a: { modes: { b: [${value}] } } }\n`]) {
      const said = refused(text)
      assert.match(said, /secret/)
      assert.ok(!said.includes(value), said)
    }
  })

  test('is what would act on a terminal', () => {
    for (const key of ['title', 'mode', 'agent'])
      assert.match(refused(`${key}: "a\\e]0;x\\a"\n`), new RegExp(`^1:\\d+: ${key} is no `))
    assert.match(refused('projects: { "/a\\eb": {} }\n'), /^1:13: \S+ is no absolute path/)
  })

  test('is a mode that no agent has: it would never apply', () => {
    const agents = 'agents: { claude: { modes: { plan: [], edit: [] } } }\n'
    assert.equal(refused(`${agents}mode: plna\n`), '2:7: mode is a mode of no agent; did you mean plan?')
    assert.equal(
      refused(`${agents}projects: { /srv: { mode: other } }\n`),
      '2:27: projects./srv.mode is a mode of no agent; write it below agents, where there are plan, edit',
    )
    assert.equal(
      refused('mode: plan\n'),
      '1:7: mode is a mode of no agent; write it below agents, where there are none',
    )
    assert.equal(refused(`${agents}agent: codex\nmode: plan\n`), '')
    assert.match(refused('agents: { claude: { modes: {} } }\nmode: constructor\n'), /is a mode of no agent/)
  })

  test('is no YAML', () => assert.match(refused('agent: [claude\nhost: x\n'), /^\d:\d+: is no YAML/))

  test('is told apart from what is right, whatever is written', () => {
    const word = fc.oneof(
      fc.constantFrom(
        'agent',
        'mode',
        'projects',
        'agents',
        'title',
        'people',
        'host',
        'plan',
        '/srv',
        '~',
        '{',
        '}',
        '[',
        ']',
      ),
      fc.constantFrom(': ', '\n', '\n  ', '- ', '"', '&a', '*a', '!!x', ', ', '__proto__', 'constructor'),
      fc.string({ maxLength: 4 }),
    )
    const texts = fc.array(word, { maxLength: 30 }).map((words) => words.join(''))
    fc.assert(
      fc.property(texts, fc.constantFrom<Mode>('system', 'single-user'), (text, mode) => {
        write(text)
        for (const fault of faultsOf(mode)) assert.match(fault, /^\d+:\d+: .+; ./s)
      }),
    )
  })
})

describe('a file that somebody else can change', () => {
  const reader = 12_345

  test('is refused where it belongs to another, with the command that mends it', () => {
    write('agent: claude\n')
    chmodSync(file, 0o644)
    chownSync(file, reader + 1, reader)
    assert.deepEqual(
      asUid(reader, () => faultsOf('system')),
      [
        `1:1: belongs to uid ${reader + 1} and you are uid ${reader}: it decides what runs as you; if it is meant to be yours: sudo chown ${reader} ${file}`,
      ],
    )
    for (const owner of [reader, 0]) {
      chownSync(file, owner, 0)
      assert.equal(asUid(reader, () => readPreferences(file, 'system')).preferences.agent, 'claude')
    }
  })

  test('is refused where everybody may write, and warned of where its group may', () => {
    write('agent: claude\ncolors: never\n')
    chownSync(file, reader, reader)
    chmodSync(file, 0o666)
    assert.deepEqual(
      asUid(reader, () => faultsOf('system')),
      [
        `1:1: can be changed by everybody (mode 0666); close it: chmod go-w ${file}`,
        '2:1: colors is no key that is known here; did you mean colours?',
      ],
    )
    write('agent: claude\n')
    chmodSync(file, 0o664)
    const { preferences, warnings } = asUid(reader, () => readPreferences(file, 'system'))
    assert.equal(preferences.agent, 'claude')
    assert.deepEqual(
      warnings.map((warning) => `${describeFault(warning)}; ${warning.mend}`),
      [`${file}:1:1: can be changed by its group (mode 0664); close it: sudo chmod go-w ${file}`],
    )
  })

  test('is looked at behind a link, which may be anybody’s', () => {
    const link = join(directory, 'link.yml')
    write('agent: claude\n')
    symlinkSync(file, link)
    assert.equal(readPreferences(link, 'system').preferences.agent, 'claude')
    chmodSync(file, 0o666)
    assert.throws(() => readPreferences(link, 'system'), /link\.yml:1:1: can be changed by everybody/)
  })
})

test('a file that is closed to its reader is refused, with the command that makes it theirs', () => {
  write('agent: claude\n')
  assert.deepEqual(
    asUid(12_345, () => faultsOf('system')),
    [`1:1: can't be read (EACCES); make it your own: sudo chown -R 12345 ${directory} && chmod -R u+rwX ${directory}`],
  )
})
