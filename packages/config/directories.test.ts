import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { DirectoryError, ensurePrivateDirectory, requireServiceDirectory } from './directories.ts'

const isRoot = process.getuid?.() === 0

function home(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "it's home "))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

function refusal(path: string): DirectoryError {
  try {
    ensurePrivateDirectory(path)
  } catch (error) {
    if (error instanceof DirectoryError) return error
    throw error
  }
  throw new Error(`${path} was not refused`)
}

/** Runs the command that a message proposes after its last colon. */
function mend(error: DirectoryError): void {
  execFileSync('sh', ['-c', error.message.slice(error.message.lastIndexOf(': ') + 2)])
}

const modeOf = (path: string) => statSync(path).mode & 0o777

test('the directory and its missing parents are the owner’s alone, whatever the umask', (t) => {
  const root = join(home(t), '.teleclaude')
  for (const mask of [0, 0o022, 0o277]) {
    const umask = process.umask(mask)
    try {
      ensurePrivateDirectory(join(root, `${mask}`))
    } finally {
      process.umask(umask)
    }
    assert.equal(modeOf(join(root, `${mask}`)), 0o700)
  }
  assert.equal(modeOf(root), 0o700)
})

test('a directory that others can read is closed to them, its content stays', (t) => {
  const path = join(home(t), '.teleclaude')
  mkdirSync(path)
  chmodSync(path, 0o755)
  writeFileSync(join(path, 'teleclaude.yml'), 'kept')
  ensurePrivateDirectory(path)
  ensurePrivateDirectory(path)
  assert.equal(modeOf(path), 0o700)
  assert.equal(statSync(join(path, 'teleclaude.yml')).size, 4)
})

test('a directory that others can write into is refused; the proposed command mends it', (t) => {
  const path = join(home(t), '.teleclaude')
  mkdirSync(path)
  for (const mode of [0o770, 0o702, 0o1777]) {
    chmodSync(path, mode)
    const error = refusal(path)
    assert.equal(error.code, 'writable-by-others')
    assert.ok(error.message.includes(path))
    assert.equal(statSync(path).mode & 0o1777, mode, 'nothing was changed')
    mend(error)
    ensurePrivateDirectory(path)
  }
})

test('a symbolic link is refused, dangling or not; the proposed command mends it', (t) => {
  const base = home(t)
  mkdirSync(join(base, 'elsewhere'), { mode: 0o700 })
  for (const target of ['elsewhere', 'nowhere']) {
    const path = join(base, '.teleclaude')
    symlinkSync(join(base, target), path)
    const error = refusal(path)
    assert.equal(error.code, 'symlink')
    mend(error)
    ensurePrivateDirectory(path)
    assert.ok(lstatSync(path).isDirectory())
    rmSync(path, { recursive: true })
  }
})

test('a file in the way is refused; the proposed command moves it', (t) => {
  const path = join(home(t), '.teleclaude')
  writeFileSync(path, 'precious')
  const error = refusal(path)
  assert.equal(error.code, 'not-a-directory')
  mend(error)
  ensurePrivateDirectory(path)
  assert.equal(statSync(`${path}.old`).size, 8)
})

test('a path below a file says which', (t) => {
  const file = join(home(t), 'file')
  writeFileSync(file, '')
  const error = refusal(join(file, 'run'))
  assert.equal(error.code, 'not-writable')
  assert.ok(error.message.includes(join(file, 'run')))
})

if (isRoot) {
  test('somebody else’s directory is refused, to root as well', (t) => {
    const path = join(home(t), '.teleclaude')
    mkdirSync(path, { mode: 0o700 })
    chownSync(path, 12_345, 12_345)
    const error = refusal(path)
    assert.equal(error.code, 'foreign-owner')
    assert.match(error.message, /uid 12345 .* uid 0; .*sudo chown -R 0 /)
  })

  test('a home that can not be written to is named', (t) => {
    const base = home(t)
    chmodSync(base, 0o755)
    const path = join(base, '.teleclaude')
    // The module is loaded before the rights are dropped: the checkout need not be readable to others.
    const script = `
      const { ensurePrivateDirectory } = await import(${JSON.stringify(new URL('./directories.ts', import.meta.url).href)})
      process.setuid(12345)
      try { ensurePrivateDirectory(${JSON.stringify(path)}) } catch (error) { console.log(error.code, error.message) }`
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
    assert.match(stdout, /^not-writable cannot use the directory .*EACCES.*HOME/)
    assert.ok(stdout.includes(path))
  })
}

test('a service’s directory is root’s or its own, and nobody else can put a socket there', (t) => {
  const parent = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(parent, { recursive: true }))
  const path = join(parent, 'run')
  const says = (pattern: RegExp) => assert.throws(() => requireServiceDirectory(path), pattern)
  says(/it is not there; make it: sudo mkdir -p /)
  writeFileSync(path, '')
  says(/something else is there/)
  rmSync(path)
  symlinkSync(parent, path)
  says(/symbolic link/)
  rmSync(path)
  mkdirSync(path)
  for (const mode of [0o755, 0o700, 0o1775, 0o750]) {
    chmodSync(path, mode)
    requireServiceDirectory(path)
  }
  for (const mode of [0o777, 0o1777, 0o775, 0o757]) {
    chmodSync(path, mode)
    says(/others can write into it; close it: sudo chmod (o|go)-w /)
  }
  if (process.getuid?.() !== 0) return
  chmodSync(path, 0o755)
  chownSync(path, 12_345, 12_345)
  says(/it belongs to uid 12345, who could put another socket in it/)
})
