import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { checkFile, type FileKind } from '../check.ts'
import { ConfigError } from '../config-error.ts'
import { formatReport } from './report.ts'
import { splitConfig } from './split.ts'

const golden = join(import.meta.dirname, 'golden')
/** Takes over what a change makes of the golden files: UPDATE_GOLDEN=1 node --test ... */
const isUpdate = process.env.UPDATE_GOLDEN === '1'
const results = ['config.yml', 'secrets.yml', 'personal.yml']
const kinds: readonly FileKind[] = ['system', 'secrets', 'personal']

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

type Written = { readonly config: string; readonly env?: string; readonly people?: string }

/** Writes originals, and gives what it takes to split them. */
function originals(t: TestContext, { config, env, people }: Written) {
  const directory = scratch(t)
  const write = (name: string, text: string | undefined) => {
    if (text === undefined) return null
    writeFileSync(join(directory, name), text)
    return join(directory, name)
  }
  return {
    from: write('old.yml', config) ?? '',
    env: write('old.env', env),
    people: write('teleclaude.yml', people),
    to: join(directory, 'new'),
    dryRun: false,
  }
}

function split(t: TestContext, written: Written) {
  const options = originals(t, written)
  const report = splitConfig(options)
  const [config = '', secrets = '', personal = ''] = results.map((file) => readFileSync(join(options.to, file), 'utf8'))
  return { report, said: formatReport(report, { width: null, colour: false }), config, secrets, personal }
}

/** Without the directory. */
function refusal(options: Parameters<typeof splitConfig>[0]): readonly string[] {
  try {
    splitConfig(options)
  } catch (error) {
    if (error instanceof ConfigError)
      return error.message
        .split('\n')
        .slice(1)
        .map((line) => line.trim().replace(/^\/\S*\//, ''))
    throw error
  }
  throw new Error('nothing was refused')
}

for (const name of readdirSync(golden)) {
  test(`${name} becomes what it became before, and what it becomes can be used`, (t) => {
    const original = (file: string) => (existsSync(join(golden, name, file)) ? join(golden, name, file) : null)
    const to = join(scratch(t), 'new')
    const report = splitConfig({
      from: join(golden, name, 'config.yml'),
      env: original('old.env'),
      people: original('teleclaude.yml'),
      to,
      dryRun: false,
    })
    // What follows is for this machine, and what is aligned by the length of its paths is not.
    const [said = ''] = formatReport(report, { width: null, colour: false }).split('\nNext:\n')
    const shown = said.replaceAll(join(golden, name), 'FROM').replaceAll(to, 'TO')
    writeFileSync(join(to, 'report.txt'), shown.replaceAll(/^(FILE|TO\S+) +/gm, '$1  '))
    for (const file of [...results, 'report.txt']) {
      const made = readFileSync(join(to, file), 'utf8')
      const expected = join(golden, name, 'expected', file)
      if (isUpdate) writeFileSync(expected, made)
      assert.equal(made, readFileSync(expected, 'utf8'), `${name}/${file}`)
    }
    for (const [index, file] of results.entries()) {
      const { faults, warnings } = checkFile(join(to, file), kinds[index] ?? 'system', 'system')
      assert.deepEqual({ faults, warnings }, { faults: [], warnings: [] }, file)
    }
  })
}

test('originals are as they were, to the byte and the time', (t) => {
  const options = originals(t, {
    config: 'computer:\r\n  name: a\r\n',
    env: 'A_TOKEN=fake-token\n',
    people: 'people: []\n',
  })
  const files = [options.from, options.env ?? '', options.people ?? '']
  for (const file of files) {
    utimesSync(file, 1_700_000_000, 1_700_000_000)
    chmodSync(file, 0o440)
  }
  const look = () =>
    files.map((file) => ({ bytes: readFileSync(file, 'hex'), ...statSync(file), atimeMs: 0, atime: 0 }))
  const before = look()
  splitConfig(options)
  assert.deepEqual(look(), before)
})

test('files have their modes whatever the umask, and the directory is made', (t) => {
  for (const mask of [0, 0o077, 0o777]) {
    const options = originals(t, { config: 'redis: { password: fake-password }' })
    const umask = process.umask(mask)
    try {
      splitConfig(options)
    } finally {
      process.umask(umask)
    }
    const mode = (path: string) => statSync(path).mode & 0o7777
    assert.deepEqual(
      [options.to, ...results.map((file) => join(options.to, file))].map(mode),
      [0o755, 0o644, 0o600, 0o644],
    )
    assert.deepEqual(readdirSync(options.to).toSorted(), results.toSorted())
  }
})

test('a second run changes nothing and says so; one that was cut off is completed', (t) => {
  const options = originals(t, { config: 'computer: { name: a }', env: 'A_TOKEN=fake-token' })
  splitConfig(options)
  for (const file of results) utimesSync(join(options.to, file), 1_700_000_000, 1_700_000_000)
  const report = splitConfig(options)
  assert.deepEqual(
    report.files.map(({ state }) => state),
    ['unchanged', 'unchanged', 'unchanged'],
  )
  assert.match(formatReport(report, { width: null, colour: false }), /nothing was changed/)
  for (const file of results) assert.equal(statSync(join(options.to, file)).mtimeMs, 1_700_000_000_000)

  rmSync(join(options.to, 'secrets.yml'))
  assert.deepEqual(
    splitConfig(options).files.map(({ state }) => state),
    ['unchanged', 'written', 'unchanged'],
  )
})

test('a dry run says where everything would go, and writes nothing', (t) => {
  const options = { ...originals(t, { config: 'redis: { password: fake-password }' }), dryRun: true }
  const report = splitConfig(options)
  assert.equal(existsSync(options.to), false)
  const said = formatReport(report, { width: null, colour: false })
  assert.match(said, /secrets\.yml +0600 +planned +legacy\.redis_password/)
  assert.match(said, /Nothing was written/)
  assert.deepEqual(splitConfig({ ...options, dryRun: false }).moves, report.moves)
})

test('what is in the way is named, all of it, and stays', (t) => {
  const options = originals(t, { config: 'redis: { password: fake-password }' })
  mkdirSync(join(options.to, 'personal.yml'), { recursive: true })
  writeFileSync(join(options.to, 'config.yml'), 'mine: true\n')
  symlinkSync('config.yml', join(options.to, 'secrets.yml'))
  assert.deepEqual(
    refusal(options).map((line) => line.split(';')[0]),
    [
      'config.yml:1:1: is there, with something else in it',
      'secrets.yml:1:1: is there, and is no file',
      'personal.yml:1:1: is there, and is no file',
    ],
  )
  assert.equal(readFileSync(join(options.to, 'config.yml'), 'utf8'), 'mine: true\n')
  assert.equal(readdirSync(options.to).length, 3)
})

test('a file of secrets that is right and open to others is refused, with the command that closes it', (t) => {
  const options = originals(t, { config: 'redis: { password: fake-password }' })
  splitConfig(options)
  chmodSync(join(options.to, 'secrets.yml'), 0o644)
  assert.match(
    refusal(options).join(),
    /secrets\.yml:1:1: is there, open to others \(mode 0644\); close it: chmod 0600 /,
  )
})

test('a directory that can not be used is named', (t) => {
  const options = originals(t, { config: 'computer: { name: a }' })
  const [said] = refusal({ ...options, to: options.from })
  assert.match(
    said ?? '',
    /^config\.yml:1:1: can't be used \(ENOTDIR\); name a directory with --to that uid \d+ can write into$/,
  )
  assert.equal(readFileSync(options.from, 'utf8'), 'computer: { name: a }')
})

test('what is wrong with any of the files is said at once, with its place', (t) => {
  const options = originals(t, { config: 'a: [\n', env: 'no assignment\n', people: 'a: 1\na: 2\n' })
  const said = refusal(options)
  assert.deepEqual(
    said.map((line) => line.replace(/:.*/, '')),
    ['old.yml', 'old.env', 'teleclaude.yml'],
  )
  assert.deepEqual(
    refusal({ ...options, from: '/nowhere/config.yml' })[0],
    'config.yml:1:1: is not there; name a file that is there with --from',
  )
  assert.equal(existsSync(options.to), false)
})

test('a variable that is a secret becomes a reference; one that is none is filled in; one that is not set is named', (t) => {
  const { config, secrets, report, said } = split(t, {
    config: `
redis: { password: "\${REDIS_PASSWORD}", url: "redis://:\${REDIS_PASSWORD}@host", also: "\${REDIS_PASSWORD}" }
discord: { token: "\${DISCORD_BOT_TOKEN}", guild_id: "\${GUILD}" }
computer: { default_working_dir: "\${HERE}", host: "\${NOWHERE}/x" }
`,
    env: 'REDIS_PASSWORD=fake-password\nHERE=/here\nGUILD=0123\nEMPTY=\n',
  })
  const reference = '{ secret: redis_password }'
  assert.ok(config.includes(`redis: { password: ${reference}, url: { secret: redis_url }, also: ${reference} }`))
  assert.ok(config.includes('discord: { token: { secret: discord_bot_token }, guild_id: "0123" }'))
  assert.ok(config.includes(`computer: { default_working_dir: "/here", host: "\${NOWHERE}/x" }`))
  assert.ok(secrets.includes('redis_password: "fake-password"\n'))
  assert.ok(secrets.includes('redis_url: "redis://:fake-password@host"\n'))
  assert.ok(!secrets.includes('discord_bot_token'))
  assert.deepEqual(report.unset, [
    { variable: 'DISCORD_BOT_TOKEN', at: ['secrets.yml legacy.discord_bot_token'] },
    { variable: 'NOWHERE', at: ['config.yml legacy.computer.host'] },
  ])
  assert.match(said, /NOWHERE: config\.yml legacy\.computer\.host/)
})

test('secrets are found by their name, their form, and by being the same as another', (t) => {
  const { config, personal, secrets } = split(t, {
    config: [
      'computer: { motd: "the password is fake-password" }',
      'redis: { password: fake-password, max_tokens: 4096, tokens: [first-fake, 2], verify_token: null, token: "" }',
      'hooks: [{ url: "https://hooks.slack.com/services/T0/B0/fake" }]',
      'tts: { keys: [sk-FakeFakeFakeFakeFake] }',
    ].join('\n'),
  })
  assert.ok(config.includes('computer: { motd: { secret: computer_motd } }'))
  assert.ok(
    config.includes('max_tokens: 4096, tokens: [ { secret: redis_tokens_0 }, 2 ], verify_token: null, token: "" }'),
    config,
  )
  assert.ok(config.includes('hooks: [ { url: { secret: hooks_0_url } } ]'))
  assert.ok(personal.includes('tts: { keys: [ { secret: tts_keys_0 } ] }'))
  for (const secret of [
    'the password is fake-password',
    'fake-password',
    'first-fake',
    'https://hooks.slack.com/services/T0/B0/fake',
  ])
    assert.ok(secrets.includes(`"${secret}"`), secret)
})

test('names of secrets stay apart', (t) => {
  const { secrets } = split(t, {
    config: 'a: { b_token: fake-1 }\na_b: { token: fake-2 }\nlegacy: { token: fake-3 }\n"9€": { token: fake-4 }\n',
    env: 'A_B_TOKEN=fake-5\nLEGACY_TOKEN=fake-6\n',
  })
  const [, ...lines] = secrets.slice(secrets.indexOf('legacy:')).trimEnd().split('\n')
  assert.deepEqual(lines, [
    '  a_b_token: "fake-5"',
    '  legacy_token: "fake-6"',
    '  a_b_token_2: "fake-1"',
    '  a_b_token_3: "fake-2"',
    '  legacy_token_2: "fake-3"',
    '  token: "fake-4"',
  ])
})

test('a comment stays with its key; a line of it that holds a secret does not', (t) => {
  const { config, report } = split(t, {
    config: [
      '# the file\n\n# the computer\ncomputer:\n  # the name\n  name: a # short\n  # the role\n  role: b\n',
      'redis:\n  # password: old-password\n  # since May\n  password: fake-password # Set a token: see below\n',
      'telegram:\n  bots:\n    - a\n    # of others\n\n# the end of the bots\nlast:\n\n# of the file\n',
    ].join(''),
  })
  assert.ok(config.startsWith("# The machine's configuration.\n\n# the file\n\n# the name\nhost: a # short\n"), config)
  assert.ok(config.includes('  # the computer\n  computer:\n    # the role\n    role: b\n'))
  assert.ok(config.includes('    # since May\n    password: { secret: redis_password } # Set a token: see below\n'))
  assert.ok(
    config.includes('      - a\n      # of others\n\n  # the end of the bots\n  last: null\n\n# of the file\n'),
    config,
  )
  assert.deepEqual(report.droppedComments, ['old.yml redis'])
})

test('what can not be a key of ours is kept, and why is said', (t) => {
  const { config, personal, report } = split(t, {
    config: 'computer: { name: My Mac }\nagents: { default: auto, claude: { enabled: true } }\n',
    env: 'TELECLAUDE_LOG_LEVEL=NOTSET\n',
  })
  assert.ok(config.includes('computer: { name: My Mac }'))
  assert.ok(config.includes('agents: { default: auto, claude: { enabled: true } }'))
  assert.ok(!personal.includes('agent'))
  assert.deepEqual(
    report.moves.filter(({ note }) => note !== null).map(({ key, note }) => `${key}: ${note}`),
    [
      'TELECLAUDE_LOG_LEVEL: as log_level it is no log level',
      'computer.name: as host it is no host name (letters, digits, dots, dashes and underscores)',
      'agents.default: as agent it leaves the choice to the original',
    ],
  )
})

test('levels of the log get our names', (t) => {
  for (const [theirs, ours] of [
    ['WARNING', 'warn'],
    ['critical', 'fatal'],
    ['DEBUG', 'debug'],
  ]) {
    const { config } = split(t, { config: '', env: `TELECLAUDE_LOG_LEVEL=${theirs}` })
    assert.ok(config.includes(`log_level: ${ours}\n`))
  }
})

test('the environment comes before the file, as it did; what it hid is kept', (t) => {
  const { config } = split(t, { config: 'computer: { name: a, role: b }', env: 'TELECLAUDE_HOST=c' })
  assert.ok(config.includes('host: c\n'))
  assert.ok(config.includes('  computer: { name: a, role: b }\n'))
})

test('our own file with a fault is refused as `config check` would; an original with other keys is not', (t) => {
  const own = originals(t, { config: 'log_level: loud\ntitel: x\nhost: a\n' })
  assert.deepEqual(
    refusal(own).map((line) => line.split(';')[0]),
    ['old.yml:1:12: log_level is no log level', 'old.yml:2:1: titel is no key that is known here'],
  )
  assert.equal(split(t, { config: 'log_level: loud\ntelegram: {}\n' }).report.kind, 'original')
  assert.equal(split(t, { config: 'agents: { default: claude }\n' }).report.kind, 'original')
  assert.equal(split(t, { config: 'agents: { claude: { modes: { a: [b] } } }\n' }).report.kind, 'single-user')
  assert.equal(split(t, { config: '' }).report.kind, 'original')
})

test('the lines for people are ready but for their accounts, whatever their names are', (t) => {
  const { report } = split(t, {
    config: '',
    people: 'people: [{ name: "Ann: a", role: admin }, { name: "12", role: boss }, { email: x }, text]\n',
  })
  assert.deepEqual(
    report.people.map(([name, role]) => [name?.trim(), role?.trim()]),
    [
      ['- name: # the name of one person, such as alice', 'role: admin'],
      ['- name: "12"', 'role: # newcomer, contributor, member or admin'],
      ['- name: # the name of one person, such as alice', 'role: member'],
      ['- name: # the name of one person, such as alice', 'role: # newcomer, contributor, member or admin'],
    ],
  )
})

test('what a terminal would obey is shown, not done', (t) => {
  const { said } = split(t, { config: '"a\\e[31m": b\n', people: 'people: [{ name: "x\\e[0m" }]\n' })
  assert.ok(!said.includes('\u001b'))
})

test('nothing at all becomes three files without keys', (t) => {
  const { config, secrets, personal, report } = split(t, { config: '\ufeff# nothing yet\r\n' })
  assert.equal(config, "# The machine's configuration.\n\n# nothing yet\n")
  assert.match(secrets + personal, /^# Secrets of .*\n# One person's .*\n$/)
  assert.deepEqual(report.moves, [])
})
