import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { hasPassword, transportProblems, withoutPassword } from './database-url.ts'

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
      assert.ok(hasPassword(written))
      assert.ok(!withoutPassword(written).includes('hunter2'))
      // Written without escapes, it is either refused or shown without it.
      const raw = `postgresql://alice:${password}@db/x`
      assert.ok(!withoutPassword(raw).includes('hunter2'), raw)
    }),
  )
})

test('a password is found wherever libpq takes one, and what can not be read may have one', () => {
  for (const url of [
    'postgresql://a:b@c/d',
    'postgresql://c/d?password=b',
    'postgresql://c/d?sslpassword=b',
    'postgresql://a:b/c@d/e',
  ])
    assert.ok(hasPassword(url), url)
  for (const url of ['postgresql://a@/d?host=/run/postgresql', 'postgresql://c/d?sslmode=verify-full'])
    assert.ok(!hasPassword(url), url)
})

test('over TCP the server’s certificate and name have to be verified; a Unix socket needs neither', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const ca = join(directory, 'ca.pem')
  writeFileSync(ca, '')
  for (const good of [
    'postgresql://teleclaude_api@/teleclaude?host=/run/teleclaude/postgres',
    'postgresql:///teleclaude?host=/run/postgresql',
    'postgresql://u@%2Frun%2Fpostgresql/teleclaude',
    'postgresql://u:p@db.example/x?sslmode=verify-full',
    `postgresql://u:p@db.example:5433/x?sslmode=verify-full&sslrootcert=${ca}`,
  ])
    assert.deepEqual(transportProblems(good), [], good)
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
  ])
    assert.match(transportProblems(bad).join(), /^goes over TCP without sslmode=verify-full/, bad)
  for (const nowhere of ['postgresql:///x', 'postgresql://u:hunter2@/x', 'postgresql://u@/x?host='])
    assert.deepEqual(transportProblems(nowhere), ['names no server'])
  const lost = `postgresql://u:hunter2@db.example/x?sslmode=verify-full&sslrootcert=${directory}/none.pem`
  assert.match(transportProblems(lost).join(), /^names a file as sslrootcert that uid \d+ can't read \(.*ENOENT\)$/)
})
