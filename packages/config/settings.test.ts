import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConfigError, describeFault } from './config-error.ts'
import { readSettings, withoutPassword } from './settings.ts'

function faultsOf(env: Record<string, string>): ConfigError {
  try {
    readSettings(env)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('the settings were taken')
}

const variablesOf = ({ faults }: ConfigError) => faults.map((fault) => ('variable' in fault ? fault.variable : ''))

test('nothing set is SQLite on this machine at level info; an empty variable is not set', () => {
  const expected = { logLevel: 'info', host: hostname(), databaseUrl: null }
  assert.deepEqual(readSettings({}), expected)
  assert.deepEqual(readSettings({ TELECLAUDE_LOG_LEVEL: '', TELECLAUDE_HOST: '', DATABASE_URL: '' }), expected)
})

test('what is set is taken as it is', () => {
  for (const url of [
    'postgres://teleclaude@db.example:5432/teleclaude?sslmode=verify-full',
    'postgresql:///teleclaude?host=/run/postgresql',
    'postgresql://alice@/teleclaude?host=/run/postgresql',
    'postgresql://alice:p%40ss@[::1]/teleclaude',
  ]) {
    const settings = readSettings({
      TELECLAUDE_LOG_LEVEL: 'debug',
      TELECLAUDE_HOST: 'build-1.example',
      DATABASE_URL: url,
    })
    assert.deepEqual(settings, { logLevel: 'debug', host: 'build-1.example', databaseUrl: url })
  }
})

test('all that is wrong is named at once, with its mend, and values are not repeated', () => {
  const env = { TELECLAUDE_LOG_LEVEL: 'loud', TELECLAUDE_HOST: 'two words', DATABASE_URL: 'mysql://root:hunter2@db/x' }
  const error = faultsOf(env)
  assert.equal(error.code, 'config')
  assert.equal(error.exitCode, 78)
  assert.deepEqual(variablesOf(error).sort(), Object.keys(env).sort())
  for (const fault of error.faults) {
    assert.ok(error.message.includes(`  ${describeFault(fault)}; ${fault.mend}`))
    assert.match(fault.mend, /unset it/)
  }
  for (const value of Object.values(env)) assert.ok(!error.message.includes(value))
  assert.ok(!error.message.includes('hunter2'))
})

test('an address that can not be read is refused without showing its password', () => {
  for (const url of [
    'postgresql://alice:hunter2@db:notaport/x',
    'postgresql://alice:hunter2@[db/x',
    'postgresql:/alice:hunter2',
    'hunter2',
  ]) {
    const error = faultsOf({ DATABASE_URL: url })
    assert.deepEqual(variablesOf(error), ['DATABASE_URL'])
    assert.ok(!JSON.stringify([error, error.message, error.stack]).includes('hunter2'), url)
  }
})

test('a database’s address is shown without its password', () => {
  assert.equal(
    withoutPassword('postgresql://alice:hunter2@db:5432/x?sslmode=require'),
    'postgresql://alice:***@db:5432/x?sslmode=require',
  )
  assert.equal(withoutPassword('postgresql://alice:hunter2@/x?host=/run'), 'postgresql://alice:***@/x?host=/run')
  assert.equal(withoutPassword('postgresql://db/x'), 'postgresql://db/x')
  assert.ok(!withoutPassword('postgresql://db/x?user=a&password=hunter2&sslpassword=hunter2').includes('hunter2'))
  assert.ok(!withoutPassword('postgresql://alice:hunter2@[db/x').includes('hunter2'))
})

test('no password survives, whatever is in it', () => {
  const secret = fc.string({ minLength: 1, maxLength: 20, unit: 'binary-ascii' }).map((text) => `1${text}hunter2`)
  fc.assert(
    fc.property(secret, (password) => {
      const written = `postgresql://alice:${encodeURIComponent(password)}@db/x`
      assert.ok(!withoutPassword(written).includes('hunter2'))
      // Written without escapes, it is either refused or shown without it.
      const raw = `postgresql://alice:${password}@db/x`
      assert.ok(!withoutPassword(raw).includes('hunter2'), raw)
    }),
  )
})
