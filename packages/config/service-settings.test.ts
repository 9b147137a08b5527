import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { ConfigError } from './config-error.ts'
import { readServiceSettings } from './service-settings.ts'

const url = 'postgresql://teleclaude_api@/teleclaude?host=/run/teleclaude/postgres'

function place(t: TestContext): { readonly directory: string; readonly envFile: string } {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return { directory, envFile: join(directory, '.env') }
}

function refusal(env: Record<string, string>, envFile = '/nowhere/.env'): ConfigError {
  try {
    readServiceSettings(env, { envFile })
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('the settings were taken')
}

test('a database is all that has to be said; a missing file says nothing', () => {
  assert.deepEqual(readServiceSettings({ DATABASE_URL: url }, { envFile: '/nowhere/.env' }), {
    logLevel: 'info',
    host: hostname(),
    databaseUrl: url,
    adminUid: null,
  })
  assert.match(refusal({}).message, /^ {2}DATABASE_URL is not set; set it/m)
})

test('the environment comes before the file, and an empty variable is none', (t) => {
  const { envFile } = place(t)
  writeFileSync(
    envFile,
    `# ours\nexport TELECLAUDE_HOST="build-1"\nTELECLAUDE_LOG_LEVEL=debug\nTELECLAUDE_ADMIN_UID=1000 # me\n`,
  )
  const env = { DATABASE_URL: url, TELECLAUDE_HOST: '', TELECLAUDE_LOG_LEVEL: 'warn' }
  assert.deepEqual(readServiceSettings(env, { envFile }), {
    logLevel: 'warn',
    host: 'build-1',
    databaseUrl: url,
    adminUid: 1000,
  })
})

test('a value can be in a file of its own; where it is set itself, that counts', (t) => {
  const { directory, envFile } = place(t)
  writeFileSync(join(directory, 'url'), `${url}\n`)
  writeFileSync(join(directory, 'hostname'), 'build-2\n')
  const env = { DATABASE_URL_FILE: join(directory, 'url'), TELECLAUDE_HOST_FILE: join(directory, 'hostname') }
  assert.partialDeepStrictEqual(readServiceSettings(env, { envFile }), { databaseUrl: url, host: 'build-2' })
  writeFileSync(envFile, 'TELECLAUDE_HOST=build-1')
  assert.equal(readServiceSettings(env, { envFile }).host, 'build-1')
})

test('files that can not be read, are empty, or hold no assignments are named with their place', (t) => {
  const { directory, envFile } = place(t)
  writeFileSync(join(directory, 'empty'), '\n')
  writeFileSync(envFile, 'TELECLAUDE_HOST=a\nnonsense hunter2\nA="hunter2\n')
  const { message } = refusal(
    { DATABASE_URL_FILE: join(directory, 'none'), TELECLAUDE_HOST_FILE: join(directory, 'empty'), TELECLAUDE_HOST: '' },
    envFile,
  )
  assert.match(message, /DATABASE_URL_FILE names a file that can't be read \(.*none: ENOENT\); let uid \d+ read it/)
  assert.match(message, new RegExp(`${envFile}:2:1: is no assignment; write NAME=value`))
  assert.match(message, new RegExp(`${envFile}:3:1: has a quote that does not end`))
  assert.ok(!message.includes('DATABASE_URL is not set'))
  assert.ok(!message.includes('hunter2'))

  rmSync(envFile)
  assert.match(
    refusal({ DATABASE_URL: url, TELECLAUDE_HOST_FILE: join(directory, 'empty') }).message,
    /TELECLAUDE_HOST_FILE names an empty file/,
  )
  mkdirSync(envFile)
  assert.match(refusal({ DATABASE_URL: url }, envFile).message, /\.env:1:1: can't be read \(EISDIR\)/)
})

test('an admin is a uid that somebody can have', () => {
  for (const uid of ['0', '1000', '4294967294'])
    assert.equal(readServiceSettings({ DATABASE_URL: url, TELECLAUDE_ADMIN_UID: uid }).adminUid, Number(uid))
  for (const uid of ['-1', '4294967295', 'alice', '01', '1e3', '1.0', ' 1', '99999999999'])
    assert.match(refusal({ DATABASE_URL: url, TELECLAUDE_ADMIN_UID: uid }).message, /TELECLAUDE_ADMIN_UID is no uid/)
})

test('over TCP the server’s certificate and name have to be verified; a Unix socket needs neither', (t) => {
  const { directory } = place(t)
  const ca = join(directory, 'ca.pem')
  writeFileSync(ca, '')
  for (const good of [
    url,
    'postgresql:///teleclaude?host=/run/postgresql',
    'postgresql://u@%2Frun%2Fpostgresql/teleclaude',
    'postgresql://u:p@db.example/x?sslmode=verify-full',
    `postgresql://u:p@db.example:5433/x?sslmode=verify-full&sslrootcert=${ca}`,
  ]) {
    assert.equal(readServiceSettings({ DATABASE_URL: good }).databaseUrl, good)
  }
  for (const bad of [
    'postgresql://u:hunter2@db.example/x',
    'postgresql://u:hunter2@127.0.0.1/x',
    'postgresql://u:hunter2@localhost/x',
    ...['disable', 'allow', 'prefer', 'require', 'verify-ca', 'no-verify', 'VERIFY-FULL'].map(
      (mode) => `postgresql://u:hunter2@db.example/x?sslmode=${mode}`,
    ),
    'postgresql://u:hunter2@db.example/x?sslmode=require&uselibpqcompat=true',
    'postgresql://u:hunter2@db.example/x?sslmode=verify-full&sslmode=no-verify',
    'postgresql://u:hunter2@db.example/x?ssl=true',
    'postgresql://u:hunter2@/x?host=/run/postgresql&host=db.example',
  ]) {
    const { message } = refusal({ DATABASE_URL: bad })
    assert.match(message, /DATABASE_URL goes over TCP without sslmode=verify-full/, bad)
    assert.ok(!message.includes('hunter2'))
  }
  for (const nowhere of ['postgresql:///x', 'postgresql://u:hunter2@/x', 'postgresql://u@/x?host='])
    assert.match(refusal({ DATABASE_URL: nowhere }).message, /DATABASE_URL names no server/)
  const lost = `postgresql://u:hunter2@db.example/x?sslmode=verify-full&sslrootcert=${directory}/none.pem`
  assert.match(
    refusal({ DATABASE_URL: lost }).message,
    /names a file as sslrootcert that uid \d+ can't read \(.*ENOENT\)/,
  )
})

test('whatever is set, the answer is settings or a ConfigError that shows no password', (t) => {
  const { envFile } = place(t)
  const value = fc.oneof(
    fc.string(),
    fc.string().map((text) => `postgresql://u:hunter2@${text}`),
  )
  fc.assert(
    fc.property(value, value, fc.string(), (databaseUrl, host, written) => {
      writeFileSync(envFile, `TELECLAUDE_LOG_LEVEL=info\n${written}`)
      try {
        readServiceSettings({ DATABASE_URL: databaseUrl, TELECLAUDE_HOST: host }, { envFile })
      } catch (error) {
        assert.ok(error instanceof ConfigError)
        assert.ok(!error.message.includes('hunter2'))
      }
    }),
  )
})

if (process.getuid?.() === 0) {
  test('a file that is closed to the service is a fault that says for whom to open it', (t) => {
    const { directory, envFile } = place(t)
    writeFileSync(envFile, 'A=1')
    chmodSync(envFile, 0o600)
    chmodSync(directory, 0o755)
    process.seteuid?.(12_345)
    try {
      const { message } = refusal({ DATABASE_URL: url }, envFile)
      assert.match(message, /\.env:1:1: can't be read \(EACCES\); let uid 12345 read it/)
    } finally {
      process.seteuid?.(0)
    }
  })
}
