// What a configuration's files and variables come to, and what is refused. One file: every test is a place with some files in it.

import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { ConfigError, describeFault } from './config-error.ts'
import type { Variables } from './environment.ts'
import { loadDeployment, loadSingleUserConfig, loadSystemConfig } from './load.ts'
import { viewSetting } from './setting.ts'

const url = 'postgresql://teleclaude_api@/teleclaude?host=/run/teleclaude/postgres'
const withPassword = 'postgresql://u:hunter2@db.example/x?sslmode=verify-full'

/** Root's directories above, so that secrets may be kept in it. */
function place(t: TestContext, files: Readonly<Record<string, string>> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const sources = (env: Variables) => ({
    configFile: join(directory, 'config.yml'),
    secretsFile: join(directory, 'secrets.yml'),
    envFile: join(directory, '.env'),
    env,
  })
  const write = (name: string, text: string, mode = 0o600) => {
    writeFileSync(join(directory, name), text)
    chmodSync(join(directory, name), mode)
    return join(directory, name)
  }
  for (const [name, text] of Object.entries(files)) write(name, text)
  return { directory, sources, write }
}

function refusal(load: () => unknown): ConfigError {
  try {
    load()
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('it was taken')
}

test('nothing set is SQLite on this machine at level info; an empty variable is not set', (t) => {
  const { sources } = place(t)
  for (const env of [{}, { TELECLAUDE_LOG_LEVEL: '', TELECLAUDE_HOST: '', DATABASE_URL: '' }]) {
    const { config, settings, warnings } = loadSingleUserConfig(sources(env))
    assert.partialDeepStrictEqual(config, { logLevel: 'info', host: hostname(), databaseUrl: null })
    assert.deepEqual(new Set(settings.map(({ origin }) => origin.layer)), new Set(['default']))
    assert.deepEqual(warnings, [])
  }
})

test('in system mode the file has to be there and a database said', (t) => {
  const { sources, write } = place(t)
  assert.match(refusal(() => loadSystemConfig(sources({ DATABASE_URL: url }))).message, /config\.yml:1:1: is not there/)
  write('config.yml', '')
  assert.match(refusal(() => loadSystemConfig(sources({}))).message, /^ {2}DATABASE_URL is not set; set it/m)
  assert.equal(loadSystemConfig(sources({ DATABASE_URL: url })).config.databaseUrl.reveal(), url)
})

test('the environment comes before .env, that before the file, and that before defaults', (t) => {
  const { directory, sources } = place(t, {
    '.env': `# ours\nexport TELECLAUDE_HOST="build-1"\nTELECLAUDE_LOG_LEVEL=debug\nTELECLAUDE_ADMIN_UID=1000 # me\n`,
    'config.yml': 'notice: Hello.\nhost: build-3\nlog_level: error\naudit:\n  directory: /srv/audit\n',
  })
  const { config, settings } = loadSystemConfig(
    sources({ DATABASE_URL: url, TELECLAUDE_HOST: '', TELECLAUDE_LOG_LEVEL: 'warn' }),
  )
  assert.partialDeepStrictEqual(config, { logLevel: 'warn', host: 'build-1', adminUid: 1000, notice: 'Hello.' })
  const view = Object.fromEntries(settings.map((setting) => [setting.key, viewSetting(setting)]))
  assert.deepEqual(view.host, {
    key: 'host',
    value: 'build-1',
    secret: false,
    origin: { layer: 'environment', place: `${directory}/.env:2` },
    shadows: [{ layer: 'system', place: `${directory}/config.yml:2` }],
    applies: 'restart',
  })
  assert.deepEqual(
    view.log_level?.shadows.map(({ place }) => place),
    [`${directory}/.env:3`, `${directory}/config.yml:3`],
  )
  assert.deepEqual(view.notice?.origin, { layer: 'system', place: `${directory}/config.yml:1` })
  assert.equal(loadDeployment(sources({ DATABASE_URL: url })).config.auditDirectory, '/srv/audit')
})

test('a value can be in a file of its own; where it is set itself, that counts', (t) => {
  const { directory, sources, write } = place(t, { 'config.yml': '' })
  const env = {
    DATABASE_URL_FILE: write('url', `${withPassword}\n`),
    TELECLAUDE_HOST_FILE: write('hostname', 'build-2\n', 0o644),
  }
  const { config, settings } = loadSystemConfig(sources(env))
  assert.deepEqual([config.databaseUrl.reveal(), config.host], [withPassword, 'build-2'])
  assert.partialDeepStrictEqual(
    settings.map(viewSetting).find(({ key }) => key === 'database.url'),
    {
      value: null,
      secret: true,
      origin: { layer: 'environment', place: `DATABASE_URL_FILE (${directory}/url)` },
    },
  )
  write('.env', 'TELECLAUDE_HOST=build-1')
  assert.equal(loadSystemConfig(sources(env)).config.host, 'build-1')
})

test('a secret is named in the file, and its value found in any of its places', (t) => {
  const { directory, sources, write } = place(t, {
    'config.yml': 'database:\n  url: { secret: database_url }\n',
    'secrets.yml': `database_url: "${withPassword}"\n`,
  })
  const { config, settings, warnings } = loadSystemConfig(sources({}))
  assert.equal(config.databaseUrl.reveal(), withPassword)
  assert.deepEqual(viewSetting(settings.find(({ key }) => key === 'database.url') ?? assert.fail()), {
    key: 'database.url',
    value: null,
    secret: true,
    origin: { layer: 'secrets', place: `${directory}/secrets.yml:1` },
    shadows: [],
    applies: 'restart',
  })
  assert.deepEqual(warnings, [])
  // What the environment says of the key comes before what the file refers to, there or not.
  write('secrets.yml', '')
  assert.equal(loadSystemConfig(sources({ DATABASE_URL: url })).config.databaseUrl.reveal(), url)
  assert.match(
    refusal(() => loadSystemConfig(sources({}))).message,
    /^ {2}\S+config\.yml:2:8: database\.url names the secret database_url, which is nowhere; write it into secrets\.yml/m,
  )
  mkdirSync(join(directory, 'credentials'))
  write('credentials/database-url', withPassword)
  const credentials = { CREDENTIALS_DIRECTORY: join(directory, 'credentials') }
  assert.equal(loadSystemConfig(sources(credentials)).config.databaseUrl.reveal(), withPassword)
  const variables = { ...credentials, TELECLAUDE_SECRET_DATABASE_URL: url }
  assert.equal(loadSystemConfig(sources(variables)).config.databaseUrl.reveal(), url)
})

test('secrets that everybody can read keep a service of the machine from starting, and warn a single user', (t) => {
  const { sources, write } = place(t, { 'config.yml': 'database: { url: { secret: db } }\n' })
  write('secrets.yml', `db: "${withPassword}"\n`, 0o644)
  assert.match(refusal(() => loadSystemConfig(sources({}))).message, /secrets\.yml.*; .*chmod 6[04]0/)
  assert.match(loadSingleUserConfig(sources({})).warnings[0]?.mend ?? '', /chmod 600/)
  write('secrets.yml', '')
  write('.env', `A=1\nDATABASE_URL="${withPassword}"\n`, 0o644)
  assert.match(
    refusal(() => loadSystemConfig(sources({}))).message,
    /\.env:2:1: DATABASE_URL looks like a secret, in a file that is open to everybody \(mode 0644\); .*chmod 600/,
  )
  assert.match(loadSingleUserConfig(sources({})).warnings[0]?.problem ?? '', /DATABASE_URL looks like a secret/)
})

test('all that is wrong is named at once, with its mend, and values are not repeated', (t) => {
  const env = { TELECLAUDE_LOG_LEVEL: 'loud', TELECLAUDE_HOST: 'two words', DATABASE_URL: 'mysql://root:hunter2@db/x' }
  const { sources } = place(t, { 'config.yml': 'notice: 5\nhst: x\n' })
  const error = refusal(() => loadSingleUserConfig(sources(env)))
  assert.deepEqual([error.code, error.exitCode], ['config', 78])
  for (const fault of error.faults) assert.ok(error.message.includes(`  ${describeFault(fault)}; ${fault.mend}`))
  assert.match(error.message, /config\.yml:1:9: notice is not text/)
  assert.match(error.message, /config\.yml:2:1: hst is no key that is known here; did you mean host\?/)
  for (const [variable, problem] of [
    ['TELECLAUDE_LOG_LEVEL', 'is no log level'],
    ['TELECLAUDE_HOST', 'is no host name'],
    ['DATABASE_URL', 'does not start with postgresql://'],
  ])
    assert.match(error.message, new RegExp(`^  ${variable} ${problem}`, 'm'))
  for (const value of Object.values(env)) assert.ok(!error.message.includes(value))
})

test('an address that can not be read is refused without showing its password', (t) => {
  const { sources } = place(t)
  for (const bad of [
    'postgresql://alice:hunter2@db:notaport/x',
    'postgresql://alice:hunter2@[db/x',
    'postgresql:/alice:hunter2',
    'hunter2',
  ]) {
    const error = refusal(() => loadSingleUserConfig(sources({ DATABASE_URL: bad })))
    assert.equal(error.faults.length, 1)
    assert.ok(!JSON.stringify([error, error.message, error.stack]).includes('hunter2'), bad)
  }
  const error = refusal(() => loadDeployment(sources({ DATABASE_URL: 'postgresql://u:hunter2@db.example/x' })))
  assert.match(error.message, /DATABASE_URL goes over TCP without sslmode=verify-full/)
  assert.ok(!error.message.includes('hunter2'))
})

test('a password has no place in a file that everybody reads', (t) => {
  const { sources } = place(t, {
    'config.yml': `database: { url: "${withPassword}" }\nnotice: sk-ant-0123456789abcdef\n`,
  })
  const { message } = refusal(() => loadSystemConfig(sources({})))
  assert.match(
    message,
    /config\.yml:1:18: database\.url holds a password, which everybody who reads this file would know/,
  )
  assert.match(message, /config\.yml:2:9: notice looks like a secret/)
  assert.ok(!message.includes('hunter2') && !message.includes('0123456789'))
})

test('files that can not be read, are empty, or hold no assignments are named with their place', (t) => {
  const { directory, sources, write } = place(t, { 'config.yml': '' })
  write('.env', 'TELECLAUDE_HOST=a\nnonsense hunter2\nA="hunter2\n')
  const env = { DATABASE_URL_FILE: join(directory, 'none'), TELECLAUDE_HOST_FILE: write('empty', '\n') }
  const { message } = refusal(() => loadSystemConfig(sources(env)))
  assert.match(message, /DATABASE_URL_FILE names a file that is not there; write the value into it/)
  assert.match(message, /\.env:2:1: is no assignment; write NAME=value/)
  assert.match(message, /\.env:3:1: has a quote that does not end/)
  assert.ok(!message.includes('DATABASE_URL is not set') && !message.includes('hunter2'))
  rmSync(join(directory, '.env'))
  assert.match(refusal(() => loadSystemConfig(sources(env))).message, /TELECLAUDE_HOST_FILE names an empty file/)
  mkdirSync(join(directory, '.env'))
  assert.match(refusal(() => loadSystemConfig(sources({ DATABASE_URL: url }))).message, /\.env:1:1: is not a file/)
})

test('a .env of nothing but blank lines is read at once', (t) => {
  const { sources, write } = place(t)
  write('.env', `${'\n'.repeat(900_000)}TELECLAUDE_HOST=h\n`)
  assert.equal(loadSingleUserConfig(sources({})).config.host, 'h')
})

test('a secret that stands where the name of its file belongs is not repeated', (t) => {
  const { sources } = place(t, { 'config.yml': '' })
  for (const wrong of [withPassword, `/nowhere/${withPassword}`, 'hunter2']) {
    const { message } = refusal(() => loadSystemConfig(sources({ DATABASE_URL_FILE: wrong })))
    assert.match(message, /DATABASE_URL_FILE (is no absolute path|names a file that is not there)/)
    assert.ok(!message.includes('hunter2'), message)
  }
})

test('an admin is a uid that somebody can have', (t) => {
  const { sources } = place(t, { 'config.yml': '' })
  const load = (uid: string) => loadSystemConfig(sources({ DATABASE_URL: url, TELECLAUDE_ADMIN_UID: uid }))
  for (const uid of ['0', '1000', '4294967294']) assert.equal(load(uid).config.adminUid, Number(uid))
  for (const uid of ['-1', '4294967295', 'alice', '01', '1e3', '1.0', ' 1', '99999999999'])
    assert.match(refusal(() => load(uid)).message, /TELECLAUDE_ADMIN_UID is (no whole number|above 4294967294)/)
})

test('a service that knows nobody passes over what is wrong with people, and over a broken file where it needs nothing of it', (t) => {
  const { sources, write } = place(t, { 'config.yml': 'host: build-1\npeople: 5\n' })
  const { config } = loadDeployment(sources({ DATABASE_URL: url }))
  assert.deepEqual([config.host, config.databaseUrl.reveal()], ['build-1', url])
  write('config.yml', 'host: [\n')
  assert.equal(loadDeployment(sources({ DATABASE_URL: url, TELECLAUDE_HOST: 'h' })).config.host, 'h')
  // Another name would be another audit log.
  assert.match(refusal(() => loadDeployment(sources({ DATABASE_URL: url }))).message, /config\.yml:2:1/)
  write('config.yml', 'host: two words\n')
  assert.match(
    refusal(() => loadDeployment(sources({ DATABASE_URL: url }))).message,
    /config\.yml:1:7: host is no host name/,
  )
})

test('secrets that are closed to a service, or broken, are its matter only where it needs one', (t) => {
  const { sources, write } = place(t, { 'config.yml': 'database: { url: { secret: db } }\n', 'secrets.yml': 'db: [\n' })
  const env = { DATABASE_URL: url }
  assert.equal(loadDeployment(sources(env)).config.databaseUrl.reveal(), url)
  assert.match(refusal(() => loadDeployment(sources({}))).message, /secrets\.yml:/)
  assert.match(refusal(() => loadSystemConfig(sources(env))).message, /secrets\.yml:/)
  write('secrets.yml', `db: "${withPassword}"\n`, 0o644)
  assert.equal(loadDeployment(sources(env)).config.databaseUrl.reveal(), url)
  assert.match(refusal(() => loadDeployment(sources({}))).message, /secrets\.yml.*mode 0644/)
})

test('keys of the other mode are refused as what they are', (t) => {
  const { sources, write } = place(t, { 'config.yml': 'people: []\n' })
  assert.match(
    refusal(() => loadSingleUserConfig(sources({}))).message,
    /config\.yml:1:1: people is for a service of the whole machine, and this one serves you alone; take it away/,
  )
  write('config.yml', 'agent: claude\n')
  assert.match(
    refusal(() => loadSystemConfig(sources({ DATABASE_URL: url }))).message,
    /config\.yml:1:1: agent is a matter of each person's own taste; it goes into their ~\/\.teleclaude\/config\.yml/,
  )
})

test('a lower layer never wins, whatever the layers say and whatever the order of the keys', (t) => {
  const { sources, write } = place(t)
  const host = fc.option(fc.constantFrom('a', 'b', 'c'), { nil: null })
  const level = fc.option(fc.constantFrom('warn', 'debug'), { nil: null })
  const layer = fc.record({ host, level })
  fc.assert(
    fc.property(layer, layer, layer, fc.boolean(), (environment, envFile, file, isReversed) => {
      const lines = [
        ...(file.host === null ? [] : [`host: ${file.host}\n`]),
        ...(file.level === null ? [] : [`log_level: ${file.level}\n`]),
      ]
      write('config.yml', (isReversed ? lines.reverse() : lines).join(''))
      write('.env', `TELECLAUDE_HOST=${envFile.host ?? ''}\nTELECLAUDE_LOG_LEVEL=${envFile.level ?? ''}\n`)
      const env = { TELECLAUDE_HOST: environment.host ?? '', TELECLAUDE_LOG_LEVEL: environment.level ?? undefined }
      const { config, settings } = loadSingleUserConfig(sources(env))
      const expected = {
        host: [environment.host, envFile.host, file.host],
        level: [environment.level, envFile.level, file.level],
      }
      assert.equal(config.host, expected.host.find((said) => said !== null) ?? hostname())
      assert.equal(config.logLevel, expected.level.find((said) => said !== null) ?? 'info')
      const shown = settings.find(({ key }) => key === 'host')
      const said = expected.host.filter((value) => value !== null).length
      assert.equal(shown?.shadows.length, Math.max(0, said - 1))
    }),
  )
})

test('whatever is set, the answer is settings or a ConfigError that shows no password', (t) => {
  const { sources, write } = place(t, { 'config.yml': '' })
  const value = fc.oneof(
    fc.string(),
    fc.string().map((text) => `postgresql://u:hunter2@${text}`),
  )
  fc.assert(
    fc.property(value, value, fc.string(), (databaseUrl, host, written) => {
      write('.env', `TELECLAUDE_LOG_LEVEL=info\n${written}`)
      try {
        loadSystemConfig(sources({ DATABASE_URL: databaseUrl, TELECLAUDE_HOST: host }))
      } catch (error) {
        assert.ok(error instanceof ConfigError)
        assert.ok(!error.message.includes('hunter2'))
      }
    }),
  )
})

test('limits have defaults, each by itself; a role may have no sessions at all', (t) => {
  const { sources, write } = place(t, { 'config.yml': '' })
  const load = () => loadSystemConfig(sources({ DATABASE_URL: url }))
  const defaults = {
    connections: 320,
    requestsPerSecond: 100,
    streams: 256,
    sessions: { newcomer: 5, contributor: 20, member: 50, admin: 100 },
  }
  assert.deepEqual(load().config.limits, defaults)
  write('config.yml', 'limits:\n  requests_per_second: 7\n  sessions:\n    newcomer: 0\n')
  const { config, settings } = load()
  assert.deepEqual(config.limits, {
    ...defaults,
    requestsPerSecond: 7,
    sessions: { ...defaults.sessions, newcomer: 0 },
  })
  const limits = settings.filter(({ key }) => key.startsWith('limits.'))
  assert.deepEqual(
    limits.filter(({ origin }) => origin.layer === 'system').map(({ key, value }) => [key, value]),
    [
      ['limits.requests_per_second', 7],
      ['limits.sessions.newcomer', 0],
    ],
  )
  assert.deepEqual(new Set(limits.map(({ applies }) => applies)), new Set(['live']))
})

test('limits that lock everybody out, or contradict each other, are refused with their place', (t) => {
  const { sources, write } = place(t)
  const faults = (text: string) => {
    write('config.yml', text)
    return refusal(() => loadSystemConfig(sources({ DATABASE_URL: url }))).faults.map(describeFault)
  }
  assert.match(faults('limits:\n  connections: 0\n').join(), /config\.yml:2:\d+: limits\.connections is below 4/)
  assert.match(faults('limits:\n  requests_per_second: 0.5\n').join(), /limits\.requests_per_second is no whole number/)
  assert.match(faults('limits:\n  sessions:\n    member: -1\n').join(), /:3:\d+: limits\.sessions\.member is below 0/)
  assert.match(faults('limits:\n  sessions:\n    public: 1\n').join(), /limits\.sessions\.public is no key/)
  const contradiction = /:\d+:\d+: limits\.streams is above limits\.connections \(320 where it is not set\)/
  assert.match(faults('limits:\n  streams: 400\n').join(), contradiction)
  assert.match(faults('limits:\n  connections: 10\n  streams: 11\n').join(), contradiction)
  write('config.yml', 'limits:\n  connections: 400\n  streams: 400\n')
  assert.equal(loadSystemConfig(sources({ DATABASE_URL: url })).config.limits.streams, 400)
  write('config.yml', 'limits:\n  connections: 100\n')
  assert.equal(loadSystemConfig(sources({ DATABASE_URL: url })).config.limits.connections, 100)
})

test('who has the service for themselves has no limits to set', (t) => {
  const { sources } = place(t, { 'config.yml': 'limits:\n  connections: 10\n' })
  assert.match(refusal(() => loadSingleUserConfig(sources({}))).message, /limits is for a service of the whole machine/)
})

const auditorKey = 'teleclaude.auditor/build-box+745b3176+BIi3JfIY6TVpEAZ0kxt1MVeXk+zvNAgn5CDF/UyOuoNS'
const sinksFile = `audit:
  auditor_key: ${auditorKey}
  require: cosigned
  on_alarm: refuse
  sinks:
    - file: { max_mb: 10, keep_files: 3 }
    - syslog: { tls: "[2001:db8::1]:6514", ca_file: /etc/ssl/ca.pem }
    - name: siem
      format: ocsf
      webhook: { url: "https://siem.example/in", secret: { secret: siem } }
    - otlp: { url: "http://127.0.0.1:4318/v1/logs", headers: { secret: otlp } }
`

test("what is no auditor's key is refused, and none is the default", (t) => {
  const { sources, write } = place(t, { 'config.yml': '' })
  const env = { DATABASE_URL: url, TELECLAUDE_HOST: 'h' }
  assert.equal(loadSystemConfig(sources(env)).config.auditPolicy.auditorKey, null)
  // Another key's id.
  for (const text of ['secret', auditorKey.replace('745b3176', '745b3177'), `${auditorKey} `]) {
    write('config.yml', `audit:\n  auditor_key: "${text}"\n`)
    assert.match(refusal(() => loadSystemConfig(sources(env))).message, /audit.auditor_key.*is no verifier key/)
  }
})

test('the auditor has its sinks with their secrets, which nobody else needs', (t) => {
  const { sources, write } = place(t, {
    'config.yml': sinksFile,
    'secrets.yml': 'siem: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"\notlp: "Authorization: Bearer x"\n',
  })
  const env = { DATABASE_URL: url }
  const { sinks } = loadDeployment(sources(env), { withSinks: true }).config
  assert.deepEqual(
    sinks.map(({ name, format, kind }) => [name, format, kind]),
    [
      ['file', 'native', 'file'],
      ['syslog', 'native', 'syslog'],
      ['siem', 'ocsf', 'webhook'],
      ['otlp', 'native', 'otlp'],
    ],
  )
  assert.partialDeepStrictEqual(sinks, [
    { maxBytes: 10_000_000, keepFiles: 3 },
    { to: { via: 'tls', host: '2001:db8::1', port: 6514, caFile: '/etc/ssl/ca.pem' } },
    { url: 'https://siem.example/in', caFile: null },
    { url: 'http://127.0.0.1:4318/v1/logs' },
  ])
  assert.equal(sinks[2]?.kind === 'webhook' && sinks[2].secret.reveal(), 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
  const { config, warnings } = loadSystemConfig(sources(env))
  assert.deepEqual([config.auditPolicy, warnings], [{ require: 'cosigned', onAlarm: 'refuse', auditorKey }, []])
  // Who ships nothing gets by without them.
  write('secrets.yml', '')
  assert.deepEqual(loadSystemConfig(sources(env)).warnings, [])
  assert.match(
    refusal(() => loadDeployment(sources(env), { withSinks: true })).message,
    /config\.yml:10:\d+: audit\.sinks\[2\]\.webhook\.secret names the secret siem, which is nowhere/,
  )
  write('config.yml', '')
  assert.partialDeepStrictEqual(loadDeployment(sources(env), { withSinks: true }).config.sinks, [
    { name: 'file', kind: 'file', maxBytes: 256_000_000, keepFiles: null },
  ])
})

test('a sink that is wrong stops the auditor, whatever else is wrong in the file, and never makes it ship elsewhere', (t) => {
  const { sources, write } = place(t)
  const env = { DATABASE_URL: url, TELECLAUDE_HOST: 'h' }
  const wrong = {
    '    - {}\n': /sinks\[0\] has not exactly one of file, syslog, webhook, otlp/,
    '    - { file: , webhook: { url: "https://a.example", secret: { secret: a } } }\n': /has not exactly one of/,
    '    - syslog: { tcp: "a:1", socket: /dev/log }\n': /has not exactly one of socket, tcp and tls/,
    '    - syslog: { tcp: "a:70000" }\n': /has a port above 65535/,
    '    - webhook: { url: "http://a.example", secret: { secret: a } }\n': /is no URL that begins with https/,
    '    - webhook: { url: "https://u:p@a.example", secret: { secret: a } }\n': /holds a name or a password/,
    '    - webhook: { url: "https://a.example", secret: hunter2 }\n': /webhook\.secret is no group of keys/,
    '    - file:\n    - { name: file, syslog: { socket: /dev/log } }\n': /sinks\[1\] is a second sink called file/,
    '    - { format: ocsf, file: }\n': /format is ocsf, and the file is what verify compares/,
    '    - fiel:\n': /did you mean file/,
  }
  for (const [written, problem] of Object.entries(wrong)) {
    write('config.yml', `people: 3\naudit:\n  sinks:\n${written}`)
    const { message } = refusal(() => loadDeployment(sources(env), { withSinks: true }))
    assert.match(message, problem, written)
    assert.doesNotMatch(message, /people/)
  }
  write('config.yml', 'audit: [\n')
  assert.match(refusal(() => loadDeployment(sources(env), { withSinks: true })).message, /config\.yml/)
  assert.equal(loadDeployment(sources(env)).config.host, 'h')
})
