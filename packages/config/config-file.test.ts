import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { ConfigError, describeFault } from './config-error.ts'
import { auditNotice } from './defaults.ts'
import { loadSystemConfig } from './load.ts'

const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
after(() => rmSync(directory, { recursive: true }))
const file = join(directory, 'config.yml')

/** With a database, which is not what this is about. */
function load(path: string) {
  const env = { DATABASE_URL: 'postgresql:///x?host=/run/postgresql' }
  return loadSystemConfig({
    configFile: path,
    secretsFile: join(directory, 'secrets.yml'),
    envFile: join(directory, '.env'),
    env,
  })
}

function read(text: string | Uint8Array) {
  writeFileSync(file, text)
  chmodSync(file, 0o644)
  const { config, warnings } = load(file)
  return { config: { people: config.people, notice: config.notice }, warnings }
}

function refusal(text: string | Uint8Array): ConfigError {
  try {
    read(text)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error(`the configuration was taken: ${text}`)
}

/** Without the file's name: `LINE:COLUMN: KEY PROBLEM; MEND`. */
function faults(text: string | Uint8Array): readonly string[] {
  return refusal(text).faults.map((fault) => `${describeFault(fault).slice(file.length + 1)}; ${fault.mend}`)
}

test('people, groups and accounts are read; one OS user needs no list', () => {
  const { config, warnings } = read(`
people:
  - name: alice
    role: admin
    os_username: [alice, alice-dev]
  - { name: bob, role: newcomer, os_uid: 1002, os_username: "1002" }
groups:
  - gid: 1100
    role: contributor
accounts: { role: contributor }
notice: Hello.
`)
  assert.deepEqual(config, {
    people: {
      people: [
        { name: 'alice', role: 'admin', osUsernames: ['alice', 'alice-dev'], osUids: [], rule: 'people.alice' },
        { name: 'bob', role: 'newcomer', osUsernames: ['1002'], osUids: [1002], rule: 'people.bob' },
      ],
      groups: [{ gid: 1100, role: 'contributor' }],
      accounts: { role: 'contributor', minUid: 1000, maxUid: 60_000 },
    },
    notice: 'Hello.',
  })
  assert.deepEqual(warnings, [])
})

test('a file that says nothing knows nobody', () => {
  for (const text of ['', '# nothing\n', '{}', 'people:\ngroups:\naccounts:\n', 'people: []', '\ufeff']) {
    assert.deepEqual(read(text).config, { people: { people: [], groups: [], accounts: null }, notice: auditNotice })
  }
})

test('all that is wrong is said at once, in the order of the file, with place and mend', () => {
  const said = faults(`people:
  - name: alice
    rle: admin
    os_username: alice
  - name: bob
    role: boss
    os_uid: [1001, x]
  - name: carol
    role: member
grups: []
accounts: { role: member, min_uid: -1 }
notice: 5
`)
  const expected = [
    /^2:5: people\[0\]\.role is missing; write one of newcomer, contributor, member, admin$/,
    /^3:5: people\[0\]\.rle is no key that is known here; did you mean role\?$/,
    /^6:11: people\[1\]\.role is no role; write one of newcomer/,
    /^7:20: people\[1\]\.os_uid\[1\] is no whole number; write what `id -u` says there/,
    /^8:5: people\[2\]\.os_username is missing, and os_uid is, too; write what `id -un` says there/,
    /^10:1: grups is no key that is known here; did you mean groups\?$/,
    /^11:36: accounts\.min_uid is below 0; write a number/,
    /^12:9: notice is not text; write it in quotes/,
  ]
  assert.equal(said.length, expected.length, said.join('\n'))
  for (const [index, pattern] of expected.entries()) assert.match(said[index] ?? '', pattern)
})

test('what two people, or two groups, both claim is refused, beside other faults', () => {
  const person = (name: string, rest: string) => `  - { name: ${name}, role: member, ${rest} }\n`
  const said = faults(
    `people:\n${person('alice', 'os_uid: 1')}${person('alice', 'os_uid: 2')}${person('bob', 'os_uid: [3, 1]')}` +
      `${person('carol', 'os_username: [c, d]')}${person('dave', 'os_username: d')}${person('eve', 'os_user: e')}` +
      'groups: [{ gid: 7, role: member }, { gid: 7, role: admin }]\n',
  )
  assert.deepEqual(
    said.filter((line) => line.includes('the same')).map((line) => line.replace(/^\d+:\d+: /, '')),
    [
      'people[1].name is the same as people[0].name; keep one of them',
      'people[2].os_uid[1] is the same as people[0].os_uid; keep one of them',
      'people[4].os_username is the same as people[3].os_username[1]; keep one of them',
      'groups[1].gid is the same as groups[0].gid; keep one of them',
    ],
  )
  assert.ok(said.some((line) => line.includes('people[5].os_user is no key that is known here; did you mean')))
})

test('a group that gives less than a rule after it is warned of: groups can be left behind', () => {
  const warned = (text: string) =>
    read(text).warnings.map((warning) => `${'key' in warning ? warning.key : ''} ${warning.problem}`)
  assert.deepEqual(
    warned('groups: [{ gid: 7, role: newcomer }, { gid: 8, role: member }, { gid: 9, role: newcomer }]\n'),
    ['groups[0] gives less than groups[1]: whoever drops group 7, as a user namespace lets them, gets that'],
  )
  assert.deepEqual(warned('groups: [{ gid: 7, role: newcomer }]\naccounts: { role: contributor }\n'), [
    'groups[0] gives less than accounts: whoever drops group 7, as a user namespace lets them, gets that',
  ])
  assert.deepEqual(
    warned('groups: [{ gid: 7, role: admin }, { gid: 8, role: member }]\naccounts: { role: member }\n'),
    [],
  )
})

test('what YAML offers beyond a configuration’s needs is refused', () => {
  for (const [text, says] of [
    ['people: &all []\n', /an anchor is set; take it away, with its &$/],
    ['a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n', /an alias is used; write out/],
    ['accounts: &all\n  role: member\n', /an anchor is set/],
    ['accounts: !!map\n  role: member\n', /a tag is set/],
    ['notice: !!binary aGk=\n', /a tag is set/],
    ['notice: !secret x\n', /no YAML: .*tag/],
    ['people: []\n---\npeople: []\n', /there is more than one document; take the lines "---" away$/],
    ['people:\n\t- name: a\n', /^2:1: is no YAML: .*; indent with spaces$/],
    ['people: []\npeople: []\n', /^2:1: the key people is there twice; keep one of them$/],
    ['people: [\n', /^2:1: is no YAML: /],
    ['['.repeat(100_000), /nested too deeply/],
    ['- alice\n', /^1:1: is no group of keys; write one or more of host, .*people, groups, accounts/],
    ['alice', /^1:1: is no group of keys/],
    ['people: {}\n', /^1:9: people is no list; write a list/],
    ['people: [alice]\n', /^1:10: people\[0\] is no group of keys/],
    ['people: [{ name: a, role: public, os_uid: 1 }]\n', /people\[0\]\.role is no role/],
    [
      'people: [{ name: a, role: admin, os_username: 1000 }]\n',
      /os_username is not text; .* all digits goes in quotes$/,
    ],
    ['people: [{ name: a, role: admin, os_uid: [] }]\n', /os_uid is empty/],
    ['people: [{ name: a, role: admin, os_uid: 4294967295 }]\n', /os_uid is above 4294967294/],
    ['people: [{ name: "a\\e[31m", role: admin, os_uid: 1 }]\n', /name is no name/],
    ['people: [{ name: uid-7, role: admin, os_uid: 1 }]\n', /name is no name for a person/],
    ['notice: "\\e]0;x\\a"\n', /notice is no line of text/],
    ['? [a, b]\n: 1\n', /is no key that is known here/],
    ['__proto__: { role: admin }\n', /__proto__ is no key that is known here/],
    [Buffer.from([0x6e, 0xff, 0xfe]), /^1:1: is not text in UTF-8/],
    [`# ${'x'.repeat(1024 * 1024)}`, /^1:1: is longer than 1048576 bytes/],
  ] as const) {
    assert.ok(
      faults(text).some((line) => says.test(line)),
      `${text.slice(0, 60)}\n${faults(text).join('\n')}`,
    )
  }
})

test('line ends of other systems are line ends; paths have to mean the same everywhere', () => {
  assert.deepEqual(read('people: []\r\nnotice: Hello.\r\n').config.notice, 'Hello.')
  assert.match(faults('notice: Hello.\r\nntice: x\r\n').join(), /^2:1: ntice is no key/)
  const directory = (path: string) => faults(`audit: { directory: ${path} }\n`).join()
  assert.match(directory('audit'), /^1:21: audit\.directory is no absolute path; write an absolute path/)
  assert.match(directory('./audit'), /is no absolute path/)
  assert.match(directory('~/audit'), /begins with ~, which nobody expands here/)
})

test('a message quotes nothing of the file but keys: what is in it may be a secret that does not belong there', () => {
  for (const text of [
    'a: |hunter2\n',
    'a: &hunter2 x\n',
    'a: *hunter2\n',
    'a: !hunter2 x\n',
    'a: "hunter2\n',
    '%hunter2\n',
  ])
    assert.ok(!faults(text).join().includes('hunter2'), faults(text).join())
})

test('as many faults as fit into a file are found in seconds', () => {
  const lines = Array.from({ length: 60_000 }, (_, at) => `k${at}: x\n`)
  assert.equal(refusal(lines.join('')).faults.length, lines.length)
})

test('a file of megabytes, and one that would unfold to gigabytes, are refused at once', () => {
  assert.match(faults(`# ${'x'.repeat(5 * 1024 * 1024)}`).join(), /is longer than 1048576 bytes/)
  const levels = Array.from({ length: 9 }, (_, at) => `l${at + 1}: &l${at + 1} [${'*l'.concat(`${at}, `).repeat(9)}]\n`)
  assert.match(
    faults(`legacy:\n  l0: &l0 lol\n${levels.map((line) => `  ${line}`).join('')}`).join(),
    /an alias is used/,
  )
})

test('a file that is missing, none, or closed is named with the mend', () => {
  const problem = (path: string) => {
    try {
      load(path)
    } catch (error) {
      if (error instanceof ConfigError) return error.message
      throw error
    }
    return 'taken'
  }
  assert.match(problem(join(directory, 'none.yml')), /none\.yml:1:1: is not there; make it/)
  mkdirSync(join(directory, 'folder.yml'))
  assert.match(problem(join(directory, 'folder.yml')), /is not a file; move it out of the way: mv /)
  execFileSync('sh', ['-c', 'mkfifo "$0"', join(directory, 'fifo.yml')])
  assert.match(problem(join(directory, 'fifo.yml')), /is not a file/)
  writeFileSync(file, '')
  chmodSync(file, 0o600)
  chmodSync(directory, 0o711)
  if (process.getuid?.() !== 0) return
  process.seteuid?.(12_345)
  try {
    assert.match(problem(file), /can't be read \(EACCES\); let uid 12345 read it: chmod o\+r /)
  } finally {
    process.seteuid?.(0)
  }
})

test('a file that others can change is taken, with a warning', () => {
  read('')
  chmodSync(file, 0o664)
  const [warning] = load(file).warnings
  assert.match(warning?.problem ?? '', /can be changed by others than its owner \(mode 0664\)/)
  execFileSync('sh', ['-c', warning?.mend.replace('close it: ', '') ?? 'false'])
  assert.deepEqual(load(file).warnings, [])
})

test('whatever the bytes, the answer is a configuration or a ConfigError', () => {
  const word = fc.constantFrom(
    ...['people', 'name', 'role', 'os_uid', 'os_username', 'groups', 'gid', 'accounts', 'notice', 'admin', 'alice'],
    ...[
      ': ',
      '- ',
      '\n',
      '\n  ',
      '\n    ',
      '[',
      ']',
      '{',
      '}',
      ',',
      '"',
      "'",
      '&a ',
      '*a',
      '!!str ',
      '<<',
      '|',
      '>',
      '? ',
      '#',
      '---',
      '...',
      '%',
    ],
    ...['1', '-1', '0x3e8', '1e3', '.inf', '~', 'null', 'true', '\t', '\r', '\0', '\ufeff', '__proto__', 'constructor'],
  )
  const takeOrRefuse = (bytes: string | Uint8Array) => {
    try {
      read(bytes)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      for (const fault of error.faults) assert.ok('line' in fault && fault.line >= 1 && fault.column >= 1)
    }
  }
  const runs = { numRuns: 1000 }
  fc.assert(
    fc.property(
      fc.array(word, { maxLength: 60 }).map((words) => words.join('')),
      takeOrRefuse,
    ),
    runs,
  )
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), takeOrRefuse), runs)
})
