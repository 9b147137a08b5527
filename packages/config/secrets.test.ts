import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import type { ConfigFault } from './config-error.ts'
import { openSecrets, type SecretPlaces, type Secrets } from './secrets.ts'

// What the tests make is as they say, whoever runs them.
process.umask(0o022)

type Home = {
  readonly places: SecretPlaces
  /** Variables by name: `.env` is as the environment to whoever asks. */
  readonly env: Record<string, string>
  readonly credentials: string
  readonly run: string
}

function home(t: TestContext, mode: SecretPlaces['mode'] = 'system'): Home {
  const root = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(root, { recursive: true }))
  const env: Record<string, string> = {}
  const [credentials, run] = [join(root, 'credentials'), join(root, 'run')]
  const places: SecretPlaces = {
    mode,
    variable: (name) => (env[name] === undefined ? null : { value: env[name], place: name }),
    directories: [credentials, run],
    file: join(root, 'secrets.yml'),
  }
  return { places, env, credentials, run }
}

function put(path: string, text: string | Uint8Array, mode = 0o600): string {
  mkdirSync(dirname(path), { recursive: true })
  rmSync(path, { force: true })
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

const said = (faults: readonly ConfigFault[]) =>
  faults.map((fault) => {
    const { problem, mend } = fault
    return 'variable' in fault
      ? `${fault.variable} ${problem}; ${mend}`
      : `${fault.file}:${fault.line}:${fault.column}:${fault.key} ${problem}; ${mend}`
  })

/** Everything that could be shown of them. */
const shown = (secrets: Secrets, names: readonly string[]) =>
  [
    JSON.stringify([secrets.faults, secrets.warnings, secrets.unused(), names.map((name) => secrets.find(name))]),
    inspect(secrets, { depth: null, showHidden: true }),
    ...names.map((name) => inspect(secrets.find(name), { depth: null, showHidden: true })),
  ].join('\n')

test('nothing is anywhere, and nothing is wrong with that', (t) => {
  const { places } = home(t)
  const secrets = openSecrets(places)
  assert.equal(secrets.find('database_url'), null)
  assert.deepEqual([secrets.faults, secrets.warnings, secrets.unused()], [[], [], []])
})

/** The places of one secret, first the one that counts. */
const layers = ['variable', 'named file', 'credentials', 'credentials-', 'run', 'run-', 'secrets.yml'] as const

test('whichever places have a secret, the first in order counts and the others are named, whatever came when', (t) => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray([...layers]),
      fc.shuffledSubarray(['other_1', 'other_2', 'api_key', 'zeta'], { minLength: 4 }),
      (written, names) => {
        const { places, env, credentials, run } = home(t)
        const named = join(dirname(places.file), 'named')
        const writers = {
          variable: () => {
            env.TELECLAUDE_SECRET_API_KEY = 'variable'
            return 'TELECLAUDE_SECRET_API_KEY'
          },
          'named file': () => {
            env.TELECLAUDE_SECRET_API_KEY_FILE = put(named, 'named file')
            return `${named} (TELECLAUDE_SECRET_API_KEY_FILE)`
          },
          credentials: () => put(join(credentials, 'api_key'), 'credentials'),
          'credentials-': () => put(join(credentials, 'api-key'), 'credentials-'),
          run: () => put(join(run, 'api_key'), 'run'),
          'run-': () => put(join(run, 'api-key'), 'run-'),
          'secrets.yml': () => {
            put(places.file, 'other_1: a\napi_key: secrets.yml\nother_2: b\n')
            return `${places.file}:2`
          },
        }
        const at = new Map(written.map((layer) => [layer, writers[layer]()]))
        const secrets = openSecrets(places)
        const found = new Map(names.map((name) => [name, secrets.find(name)])).get('api_key')
        const [first, ...rest] = layers.filter((layer) => at.has(layer))
        assert.equal(found?.secret.reveal(), first)
        assert.deepEqual(
          found === null ? [] : [found?.place, ...(found?.shadowed ?? [])],
          first === undefined ? [] : [first, ...rest].map((layer) => at.get(layer)),
        )
        assert.deepEqual([secrets.faults, secrets.warnings], [[], []])
      },
    ),
    { numRuns: 200 },
  )
})

test('one newline at the end of a file is not part of the secret', (t) => {
  const { places, env, run } = home(t)
  for (const [text, value] of [
    ['x', 'x'],
    ['x\n', 'x'],
    ['x\r\n', 'x'],
    ['x\n\n', 'x\n'],
    [' x \n', ' x '],
    ['a\nb\n', 'a\nb'],
  ] as const) {
    put(join(run, 'pem'), text)
    env.TELECLAUDE_SECRET_NAMED_FILE = join(run, 'pem')
    const secrets = openSecrets(places)
    assert.equal(secrets.find('pem')?.secret.reveal(), value)
    assert.equal(secrets.find('named')?.secret.reveal(), value)
  }
})

test('secrets.yml says values of several lines and special characters, and keeps what has no meaning here', (t) => {
  const { places } = home(t)
  put(places.file, "\ufefflegacy:\n  old: 1\npem: |\n  a\n  b\nodd: '%&*!|: #'\nnumber: '0123'\n")
  const secrets = openSecrets(places)
  assert.equal(secrets.find('pem')?.secret.reveal(), 'a\nb\n')
  assert.equal(secrets.find('odd')?.secret.reveal(), '%&*!|: #')
  assert.equal(secrets.find('number')?.secret.reveal(), '0123')
  assert.equal(secrets.find('legacy'), null)
  assert.deepEqual([secrets.faults, secrets.warnings, secrets.unused()], [[], [], []])
})

test('an entry that nobody asks for is a warning, with the name that was perhaps meant', (t) => {
  const { places } = home(t)
  put(places.file, 'databse_url: x\nused: x\nspare: x\n')
  const secrets = openSecrets(places)
  secrets.find('database_url')
  secrets.find('used')
  assert.deepEqual(said(secrets.unused()), [
    `${places.file}:1:1: is referenced nowhere; did you mean database_url?`,
    `${places.file}:3:1: is referenced nowhere; take it away, or write { secret: NAME } where it belongs`,
  ])
})

test('an empty file is a fault, an empty variable is none at all', (t) => {
  const { places, env, run } = home(t)
  env.TELECLAUDE_SECRET_API_KEY = ''
  env.TELECLAUDE_SECRET_API_KEY_FILE = ''
  for (const text of ['', '\n']) {
    const file = put(join(run, 'api_key'), text)
    const secrets = openSecrets(places)
    assert.equal(secrets.find('api_key'), null)
    assert.deepEqual(said(secrets.faults), [`${file}:1:1: is empty; write the value into it, or take it away`])
  }
})

test('a variable that names no file is a fault that does not repeat what may be the secret', (t) => {
  const { places, env } = home(t)
  const name = 'TELECLAUDE_SECRET_API_KEY_FILE'
  for (const [value, problem] of [
    ['hunter2', 'is no absolute path'],
    ['~/hunter2', 'is no absolute path'],
    ['/hunter2', 'names a file that is not there'],
    [`/${'hunter2'.repeat(99)}`, 'names a file that is not there'],
    ['/hunter2\0', 'names a file that is not there'],
  ] as const) {
    env[name] = value
    const secrets = openSecrets(places)
    assert.equal(secrets.find('api_key'), null)
    assert.deepEqual(said(secrets.faults), [
      `${name} ${problem}; set it to the path of a file that holds the secret, or unset it`,
    ])
  }
})

test('a variable in _FILE names a file, also where another secret is called so', (t) => {
  const { places, env, run } = home(t)
  env.TELECLAUDE_SECRET_KEY_FILE = put(join(run, 'elsewhere'), 'of key')
  put(join(run, 'key_file'), 'of key_file')
  const secrets = openSecrets(places)
  assert.equal(secrets.find('key')?.secret.reveal(), 'of key')
  assert.equal(secrets.find('key_file')?.secret.reveal(), 'of key_file')
})

test('nothing from further down comes in the place of what is refused', (t) => {
  const { places, env, credentials, run } = home(t)
  put(join(credentials, 'api_key'), 'open', 0o644)
  put(join(run, 'api_key'), 'closed')
  put(places.file, 'api_key: closed')
  const inDirectory = openSecrets(places)
  assert.equal(inDirectory.find('api_key'), null)
  assert.equal(inDirectory.faults.length, 1)
  env.TELECLAUDE_SECRET_API_KEY_FILE = '/nowhere'
  assert.equal(openSecrets(places).find('api_key'), null)
  // What is refused further down refuses the start as well, and does not change which one counts.
  env.TELECLAUDE_SECRET_API_KEY = 'variable'
  const shadowed = openSecrets(places)
  assert.equal(shadowed.find('api_key')?.secret.reveal(), 'variable')
  assert.equal(shadowed.faults.length, 2)
})

test('a secrets.yml that others can read refuses in system mode, warns in single-user mode', (t) => {
  for (const mode of ['system', 'single-user'] as const) {
    const { places } = home(t, mode)
    put(places.file, 'api_key: x', 0o644)
    const secrets = openSecrets(places)
    assert.equal(secrets.find('api_key')?.secret.reveal(), mode === 'system' ? undefined : 'x')
    const [fault] = mode === 'system' ? secrets.faults : secrets.warnings
    assert.equal(fault?.problem, 'can be read by everybody (mode 0644)')
    assert.equal(secrets.faults.length + secrets.warnings.length, 1)
  }
})

test('a name leads to nothing outside of its directory', (t) => {
  const { places, run } = home(t)
  put(places.file, "'../x': x\n")
  put(join(run, '..', 'x'), 'x')
  const secrets = openSecrets(places)
  for (const name of ['../x', '/etc/passwd', '', '.', 'X', 'a/b', 'a-b', '__proto__', 'a'.repeat(65)])
    assert.equal(secrets.find(name), null)
  assert.equal(secrets.find('constructor'), null)
})

test('asked twice, what is wrong is said once; a directory that is named twice is one', (t) => {
  const { places, run } = home(t)
  put(join(run, 'api_key'), '')
  const secrets = openSecrets({ ...places, directories: [run, run] })
  secrets.find('api_key')
  secrets.find('api_key')
  assert.equal(secrets.faults.length, 1)
})

test('whatever is wrong with secrets.yml is said by line and column, without a word of it', (t) => {
  const { places } = home(t)
  for (const [text, line, column] of [
    ['hunter2', 1, 1],
    ['- hunter2', 1, 1],
    ['{hunter2}', 1, 1],
    ['{a:hunter2}', 1, 1],
    ['a:hunter2\nb: hunter2', 1, 1],
    ['a: hunter2: hunter2', 1, 4],
    ['a: hunter2\nhunter2: 1', 2, 10],
    ['hunter2: a\nhunter2: b', 2, 1],
    ['a: 1234567', 1, 4],
    ["a: ''", 1, 4],
    ['a: [hunter2]', 1, 4],
    ['a: {hunter2: hunter2}', 1, 4],
    ['a: &hunter2', 1, 12],
    ['a: &hunter2 x', 1, 13],
    ['a: *hunter2', 1, 4],
    ['a: !hunter2 x', 1, 4],
    ['a: |hunter2\n  x', 1, 5],
    ['a: "hunter2', 1, 12],
    ['a: "\\hunter2"', 1, 5],
    ["a: 'hunter2", 1, 12],
    ['a: @hunter2', 1, 4],
    ['a: `hunter2', 1, 4],
    ['%hunter2 x\n---\na: x', 1, 1],
    ['a: x\n---\nb: hunter2', 2, 1],
    ['a:\n\t- hunter2', 2, 1],
    ['a: x\n  hunter2: x', 1, 4],
    ['? hunter2\n: [hunter2', 2, 11],
    ['? {hunter2: x}\n: 1', 1, 1],
  ] as const) {
    put(places.file, text)
    const secrets = openSecrets(places)
    const [fault] = secrets.faults
    assert.ok(fault !== undefined, text)
    assert.partialDeepStrictEqual(fault, { file: places.file, line, column, key: '' }, text)
    assert.match(fault.mend, /^write each name once and its value in quotes/)
    assert.ok(!shown(secrets, ['a', 'b']).includes('hunter2'), text)
  }
})

test('no secret is in anything that is said, whatever is broken', (t) => {
  const { places, env, credentials, run } = home(t)
  const canary = 'Hunter2+/=&x'
  const word = fc.constantFrom(
    ...[canary, canary, 'a', 'b', ': ', ':', '- ', '\n', '\n  ', '[', ']', '{', '}', ',', '"', "'", '&', '*', '!'],
    ...['!!str ', '|', '>', '? ', ' #', '---\n', '%', '\\', '@', '`', '\t', '\r', '\0', '\ufeff', '~', '1', '<<'],
  )
  const text = fc.array(word, { maxLength: 20 }).map((words) => words.join(''))
  const mode = fc.constantFrom(0o600, 0o640, 0o644, 0o666)
  const prefix = fc.constantFrom('', '/', './', '/tmp/', `${run}/`)
  fc.assert(
    fc.property(text, mode, text, mode, prefix, fc.boolean(), (yaml, yamlMode, value, valueMode, before, isLink) => {
      put(places.file, yaml, yamlMode)
      put(join(credentials, 'a'), value, valueMode)
      rmSync(join(run, 'b'), { force: true })
      mkdirSync(run, { recursive: true })
      if (isLink) symlinkSync(join(credentials, 'a'), join(run, 'b'))
      env.TELECLAUDE_SECRET_A_FILE = `${before}${canary}`
      env.TELECLAUDE_SECRET_B = value
      const secrets = openSecrets(places)
      assert.ok(!shown(secrets, ['a', 'b']).includes('unter2'))
      for (const fault of [...secrets.faults, ...secrets.warnings])
        if ('line' in fault) assert.ok(fault.line >= 1 && fault.column >= 1)
    }),
    { numRuns: 1000 },
  )
})
