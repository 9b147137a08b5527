import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ConfigFault } from './config-error.ts'
import { readSecureFile, type SecureFile, type SecureFileReader } from './secure-file.ts'

// What the tests make is as they say, whoever runs them.
process.umask(0o022)
const isRoot = process.getuid?.() === 0
const asRoot = { skip: isRoot ? false : 'only root can be other users' }
const canary = 'hunter2-äöü'
const modes = ['system', 'single-user'] as const
/** Accounts that nobody has. */
const service = { uid: 12_345, gid: 23_456 }
const stranger = { uid: 34_567, gid: 45_678 }

function place(t: TestContext): { readonly directory: string; readonly file: string } {
  const directory = mkdtempSync(prefix)
  chmodSync(directory, 0o755)
  t.after(() => rmSync(directory, { recursive: true }))
  return { directory, file: join(directory, 'a secret') }
}

function put(path: string, mode = 0o600, owner?: { readonly uid: number; readonly gid: number }): void {
  rmSync(path, { force: true })
  writeFileSync(path, canary)
  chmodSync(path, mode)
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid)
}

/** What is said of the file never shows what is in it. */
function read(path: string, reader: SecureFileReader): SecureFile {
  const found = readSecureFile(path, reader)
  for (const finding of [...found.faults, ...found.warnings]) {
    assert.ok(!JSON.stringify(finding).includes('hunter2'))
    assert.partialDeepStrictEqual(finding, { file: path, line: 1, column: 1, key: '' })
  }
  return found
}

/** Reads as the service itself, to whom the kernel closes what is not for it. */
function readAsService(path: string, mode: SecureFileReader['mode']): SecureFile {
  const groups = process.getgroups?.() ?? []
  process.setgroups?.([service.gid])
  process.setegid?.(service.gid)
  process.seteuid?.(service.uid)
  try {
    return read(path, { mode })
  } finally {
    process.seteuid?.(0)
    process.setegid?.(0)
    process.setgroups?.(groups)
  }
}

const prefix = join(tmpdir(), "it's secret ")
const quoted = (path: string) => `'${path.replaceAll("'", `'\\''`)}'`

/** Runs the command that a mend proposes after its colon: only ever on what a test has made, however wrong it may be. */
function run({ mend }: ConfigFault): void {
  const command = mend.slice(mend.indexOf(': ') + 2)
  assert.doesNotMatch(command.replaceAll(quoted(prefix).slice(0, -1), 'here'), /(^|[\s'"])\//)
  execFileSync('sh', ['-ec', `sudo() { "$@"; }\n${command}`], { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** Does what is proposed until there is nothing more to do. */
function mend(path: string, mode: SecureFileReader['mode']): SecureFile {
  for (let round = 0; round < 5; round++) {
    const found = readAsService(path, mode)
    const [finding] = [...found.faults, ...found.warnings]
    if (finding === undefined) return found
    run(finding)
  }
  throw new Error('what was proposed did not mend it')
}

const problems = (findings: readonly ConfigFault[]) => findings.map(({ problem }) => problem)
const clean = { text: canary, faults: [], warnings: [] }

test('a file of this process’s own that nobody else can open is taken without a word', (t) => {
  const { file } = place(t)
  for (const mode of modes) {
    put(file)
    assert.deepEqual(read(file, { mode }), clean)
    put(file, 0o400)
    assert.deepEqual(read(file, { mode }), clean)
  }
})

test('what is not there is no fault', (t) => {
  const { directory, file } = place(t)
  put(file)
  const lost = [join(directory, 'none'), join(directory, 'none/none'), join(file, 'none')]
  for (const path of [...lost, join(directory, 'n'.repeat(300)), join(directory, 'nul\0')]) {
    assert.deepEqual(readSecureFile(path, { mode: 'system' }), { text: null, faults: [], warnings: [] })
  }
})

test('in system mode everybody’s eyes or hands, and the group’s hands, are a fault; in single-user mode a warning', (t) => {
  const { file } = place(t)
  const group = process.getegid?.()
  for (const [bits, problem] of [
    [0o644, 'can be read by everybody (mode 0644)'],
    [0o604, 'can be read by everybody (mode 0604)'],
    [0o602, 'can be changed by everybody (mode 0602)'],
    [0o666, 'can be changed by everybody (mode 0666)'],
    [0o620, `can be changed by its group, ${group} (mode 0620)`],
    [0o664, `can be changed by its group, ${group} (mode 0664)`],
    [0o4755, 'can be read by everybody (mode 4755)'],
  ] as const) {
    put(file, bits)
    const inSystem = read(file, { mode: 'system' })
    assert.deepEqual([problems(inSystem.faults), inSystem.warnings], [[problem], []])
    const alone = read(file, { mode: 'single-user' })
    assert.deepEqual([alone.faults, problems(alone.warnings), alone.text], [[], [problem], canary])
    assert.match(alone.warnings[0]?.mend ?? '', /^close it: chmod 600 '/)
  }
  put(file, 0o640)
  assert.deepEqual(read(file, { mode: 'system' }), clean)
  assert.deepEqual(problems(read(file, { mode: 'single-user' }).warnings), [
    `can be read by its group, ${group} (mode 0640)`,
  ])
})

test('in system mode the service’s groups and root’s may read, another is worth a warning', asRoot, (t) => {
  const { file } = place(t)
  const reader = { mode: 'system', serviceUid: service.uid, serviceGid: service.gid } as const
  for (const gid of [service.gid, 0]) {
    put(file, 0o640, { uid: 0, gid })
    assert.deepEqual(read(file, reader), clean)
  }
  put(file, 0o640, { uid: 0, gid: stranger.gid })
  const { faults, warnings } = read(file, reader)
  assert.deepEqual([faults, problems(warnings)], [[], [`can be read by its group, ${stranger.gid} (mode 0640)`]])
  // Of this process all groups count, not the first alone.
  const groups = process.getgroups?.() ?? []
  process.setgroups?.([...groups, stranger.gid])
  t.after(() => process.setgroups?.(groups))
  assert.deepEqual(read(file, { mode: 'system' }), clean)
})

test('whoever has the file, it is root’s or the service’s in the end, and the service alone reads it', asRoot, (t) => {
  const { file } = place(t)
  for (const mode of modes) {
    for (const uid of [0, service.uid, stranger.uid]) {
      for (const gid of [0, service.gid, stranger.gid]) {
        for (const bits of [0o600, 0o400, 0o000, 0o640, 0o660, 0o620, 0o604, 0o606, 0o644, 0o666]) {
          put(file, bits, { uid, gid })
          const before = readAsService(file, mode)
          const isForeign = uid === stranger.uid
          if (isForeign) assert.notEqual(before.faults.length, 0)
          if (isForeign && before.text !== null) assert.match(before.faults[0]?.problem ?? '', /^belongs to uid 34567/)
          assert.deepEqual(mend(file, mode), clean)
          const { mode: after, uid: owner, gid: group } = lstatSync(file)
          assert.equal(after & 0o027, 0)
          assert.ok(owner === 0 || owner === service.uid)
          assert.ok((after & 0o040) === 0 || group === service.gid || group === 0)
        }
      }
    }
  }
})

test('in single-user mode root’s file is as good as one’s own', asRoot, (t) => {
  const { file } = place(t)
  put(file, 0o600)
  assert.deepEqual(read(file, { mode: 'single-user', serviceUid: service.uid, serviceGid: service.gid }), clean)
})

test('a symbolic link is refused, wherever it leads; moving its target there mends it', (t) => {
  const { directory, file } = place(t)
  for (const mode of modes) {
    for (const target of [join(directory, 'real'), 'real']) {
      put(join(directory, 'real'))
      symlinkSync(target, file)
      const found = read(file, { mode })
      assert.equal(found.text, null)
      assert.match(found.faults[0]?.mend ?? '', /^name the file that it leads to, or move that here: /)
      assert.deepEqual(problems(found.faults), ['is a symbolic link, and what it leads to can change'])
      if (found.faults[0] !== undefined) run(found.faults[0])
      assert.deepEqual(read(file, { mode }), clean)
      rmSync(file)
    }
    symlinkSync('nowhere', file)
    assert.deepEqual(problems(read(file, { mode }).faults), ['is a symbolic link, and what it leads to can change'])
    rmSync(file)
  }
})

test('a directory, a FIFO or a socket is refused at once and can be moved away', async (t) => {
  const { file } = place(t)
  const makers = [
    async () => mkdirSync(file),
    async () => execFileSync('mkfifo', [file]),
    async () => {
      const server = createServer().listen(file)
      t.after(() => server.close())
      await once(server, 'listening')
    },
  ]
  for (const mode of modes) {
    for (const make of makers) {
      await make()
      const { text, faults } = read(file, { mode })
      assert.deepEqual([text, problems(faults)], [null, ['is not a file']])
      if (faults[0] !== undefined) run(faults[0])
      assert.equal(read(file, { mode }).text, null)
      rmSync(`${file}.old`, { recursive: true })
    }
  }
})

test('a megabyte of UTF-8 is taken; more, or other bytes, are not', (t) => {
  const { file } = place(t)
  const refusal = (bytes: string | Uint8Array) => {
    put(file)
    writeFileSync(file, bytes)
    const { text, faults } = read(file, { mode: 'system' })
    return text === null ? problems(faults) : text.length
  }
  assert.equal(refusal('x'.repeat(1024 * 1024)), 1024 * 1024)
  assert.deepEqual(refusal('x'.repeat(1024 * 1024 + 1)), ['is longer than 1048576 bytes'])
  assert.deepEqual(refusal('x'.repeat(5 * 1024 * 1024)), ['is longer than 1048576 bytes'])
  assert.deepEqual(refusal(Buffer.from(`${canary}\xff`, 'latin1')), ['is not text in UTF-8'])
  assert.equal(refusal('\ufeffx'), 1)
  assert.equal(refusal(''), 0)
})

test('a directory on the way that others can write into is named, unless it is sticky', (t) => {
  const { directory } = place(t)
  const outer = join(directory, 'outer')
  const file = join(outer, 'inner', 'file')
  mkdirSync(join(outer, 'inner'), { recursive: true })
  put(file)
  for (const mode of modes) {
    for (const bits of [0o775, 0o757, 0o777, 0o2770]) {
      chmodSync(outer, bits)
      const { text, faults } = read(file, { mode })
      assert.equal(text, canary)
      const written = bits.toString(8).padStart(4, '0')
      assert.deepEqual(problems(faults), [
        `is in ${outer}, which others can write into (mode ${written}), and so put another in its place`,
      ])
      if (faults[0] !== undefined) run(faults[0])
      assert.deepEqual(read(file, { mode }), clean)
    }
    for (const bits of [0o1777, 0o1775, 0o3770, 0o755, 0o500]) {
      chmodSync(outer, bits)
      assert.deepEqual(read(file, { mode }), clean)
    }
    chmodSync(outer, 0o755)
  }
})

test('a directory of somebody else’s is named, also at the very top', asRoot, (t) => {
  const { directory } = place(t)
  const file = join(directory, 'etc', 'file')
  mkdirSync(join(directory, 'etc'))
  put(file, 0o640, { uid: 0, gid: service.gid })
  for (const path of [directory, join(directory, 'etc')]) {
    for (const uid of [0, service.uid]) {
      chownSync(path, uid, 0)
      assert.deepEqual(readAsService(file, 'system'), clean)
    }
    chownSync(path, stranger.uid, 0)
    assert.deepEqual(problems(readAsService(file, 'system').faults), [
      `is in ${path}, which belongs to uid 34567, who can put another in its place`,
    ])
    assert.deepEqual(mend(file, 'system'), clean)
    assert.equal(lstatSync(path).uid, 0)
  }
  chownSync(file, service.uid, service.gid)
  chmodSync(file, 0o600)
  chownSync(directory, stranger.uid, 0)
  assert.deepEqual(mend(file, 'single-user'), clean)
  assert.equal(lstatSync(directory).uid, service.uid)
})

test('a link among the directories counts by whose it is, and leads to what is looked at as well', asRoot, (t) => {
  const { directory } = place(t)
  const real = join(directory, 'a', 'real')
  mkdirSync(real, { recursive: true })
  mkdirSync(join(directory, 'b'))
  const link = join(directory, 'b', 'link')
  put(join(real, 'file'), 0o640, { uid: 0, gid: service.gid })
  for (const target of [real, '../a/real', '../b/../a/./real/', '../a/real/../real']) {
    symlinkSync(target, link)
    const file = join(link, 'file')
    for (const uid of [0, service.uid]) {
      lchownSync(link, uid, 0)
      assert.deepEqual(readAsService(file, 'system'), clean)
    }
    lchownSync(link, stranger.uid, 0)
    assert.deepEqual(problems(readAsService(file, 'system').faults), [
      `is reached by the symbolic link ${link} of uid 34567, who can turn it elsewhere`,
    ])
    assert.deepEqual(mend(file, 'system'), clean)
    assert.equal(lstatSync(link).uid, 0)
    chmodSync(real, 0o777)
    assert.match(
      problems(readAsService(file, 'system').faults).join(),
      /^is in .*\/a\/real, which others can write into/,
    )
    chmodSync(real, 0o755)
    rmSync(link)
  }
  symlinkSync('link', link)
  assert.deepEqual(problems(readAsService(join(link, 'file'), 'system').faults), ["can't be read (ELOOP)"])
})

test('what is closed to the service is named with the command that opens it to the service', asRoot, (t) => {
  const { directory } = place(t)
  const closed = join(directory, 'closed')
  mkdirSync(closed)
  symlinkSync('closed', join(directory, 'link'))
  const file = join(directory, 'link', 'file')
  put(file, 0o600)
  assert.partialDeepStrictEqual(readAsService(file, 'system').faults, [
    {
      problem: "can't be read by uid 12345",
      mend: `let it: sudo chown root:23456 ${quoted(file)} && sudo chmod 640 ${quoted(file)}`,
    },
  ])
  for (const [owner, letter] of [
    [service, 'u'],
    [{ uid: 0, gid: service.gid }, 'g'],
    [{ uid: 0, gid: 0 }, 'o'],
  ] as const) {
    for (const mode of modes) {
      chownSync(closed, owner.uid, owner.gid)
      chmodSync(closed, 0o600)
      put(file, 0o600)
      const sudo = mode === 'single-user' && letter === 'u' ? '' : 'sudo '
      assert.partialDeepStrictEqual(readAsService(file, mode).faults, [
        {
          problem: `can't be read by uid 12345, to whom ${closed} is closed`,
          mend: `let it through: ${sudo}chmod ${letter}+x ${quoted(closed)}`,
        },
      ])
      assert.deepEqual(mend(file, mode), clean)
      assert.equal(lstatSync(closed).mode & 0o066, 0, 'nobody lists or changes it')
    }
  }
})
