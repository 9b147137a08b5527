import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { readSecureFile } from './secure-file.ts'

process.umask(0o022)
const asRoot = { skip: process.getuid?.() === 0 ? false : 'only root can be other users' }

function place(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

function read(path: string) {
  const { text, faults } = readSecureFile(path, { mode: 'system' })
  return { text, problems: faults.map(({ problem }) => problem) }
}

const exchanged = 'was exchanged while it was read'

test('a file that is exchanged while it is read is refused, never taken for the one that was there', async (t) => {
  const directory = place(t)
  const file = join(directory, 'file')
  const texts = ['a', 'b'].map((letter) => letter.repeat(500_000))
  const sources = texts.map((text, index) => {
    const source = join(directory, `${index}`)
    writeFileSync(source, text, { mode: 0o600 })
    return source
  })
  writeFileSync(file, 'c', { mode: 0o600 })
  await whileExchanging('linkSync', file, sources, () => {
    const { text, problems } = read(file)
    if (problems.length === 0) assert.ok(['c', ...texts].includes(text ?? ''))
    else assert.deepEqual(problems, [exchanged])
    return problems.length > 0
  })
})

test('a link that is turned to a stranger’s directory and back brings nothing of theirs', asRoot, async (t) => {
  const directory = place(t)
  for (const [name, uid] of [
    ['ours', 0],
    ['theirs', 34_567],
  ] as const) {
    mkdirSync(join(directory, name))
    writeFileSync(join(directory, name, 'file'), name, { mode: 0o600 })
    chownSync(join(directory, name), uid, 0)
  }
  const way = join(directory, 'way')
  symlinkSync('ours', way)
  await whileExchanging('symlinkSync', way, ['ours', 'theirs'], () => {
    const { text, problems } = read(join(way, 'file'))
    if (problems.length === 0) assert.equal(text, 'ours')
    return problems.includes(exchanged)
  })
})

/** Looks again and again, until it says true, while a thread puts one source after the other at the path. */
async function whileExchanging(
  how: 'linkSync' | 'symlinkSync',
  path: string,
  sources: readonly string[],
  look: () => boolean,
): Promise<void> {
  const program = `
    const { workerData: { how, path, sources } } = require('node:worker_threads')
    const fs = require('node:fs')
    for (;;) for (const source of sources) {
      fs[how](source, path + '.next')
      fs.renameSync(path + '.next', path)
    }`
  const worker = new Worker(program, { eval: true, workerData: { how, path, sources } })
  try {
    await once(worker, 'online')
    for (let left = 20_000; !look(); left--) assert.ok(left > 0, 'the exchange was not found out')
  } finally {
    await worker.terminate()
  }
}
