import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Failure } from '../failure.ts'
import { writeOut } from './new-file.ts'

const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
after(() => rmSync(directory, { recursive: true }))

async function* content(error?: Error) {
  yield 'one '
  yield Buffer.from('two')
  if (error !== undefined) throw error
}

test('what is written is all there, and for its owner alone', async () => {
  const file = join(directory, 'whole')
  await writeOut(content(), file)
  assert.equal(readFileSync(file, 'utf8'), 'one two')
  assert.equal(statSync(file).mode & 0o777, 0o600)
})

test('of what breaks off nothing is left', async () => {
  const file = join(directory, 'half')
  await assert.rejects(writeOut(content(new Error('it broke off')), file), /it broke off/)
  assert.equal(existsSync(file), false)
})

test('what is there already stays as it is, and a link is not followed', async () => {
  const file = join(directory, 'there')
  writeFileSync(file, 'mine')
  await assert.rejects(writeOut(content(), file), new Failure(65, `cannot write ${file}: it is there already`))
  assert.equal(readFileSync(file, 'utf8'), 'mine')
  const link = join(directory, 'link')
  symlinkSync(join(directory, 'elsewhere'), link)
  await assert.rejects(writeOut(content(), link), /it is there already/)
  assert.equal(existsSync(join(directory, 'elsewhere')), false)
})
