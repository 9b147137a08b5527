// Puts a staged runtime in its place: `publish.ts STAGING RUNTIME`, run by the staged Node itself. rename(2) never replaces
// a directory that has content, so of two runs at once one wins and the other takes what the winner has put there.

import { existsSync, readFileSync, realpathSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join, relative } from 'node:path'

const [staging, runtime] = process.argv.slice(2)
if (staging === undefined || runtime === undefined) throw new Error('usage: publish.ts STAGING RUNTIME')

const pinned = join(runtime, 'pinned')
const retired = `${staging}.retired`
const lockOf = (directory: string) => readFileSync(join(directory, 'package-lock.json'), 'utf8')
const nodeInside = relative(realpathSync(staging), realpathSync(process.execPath))

if (existsSync(pinned) && lockOf(pinned) !== lockOf(staging)) renameSync(pinned, retired)
try {
  renameSync(staging, pinned)
} catch (error) {
  const lost = error instanceof Error && 'code' in error && (error.code === 'ENOTEMPTY' || error.code === 'EEXIST')
  if (!lost) throw error
  rmSync(staging, { recursive: true })
}
const link = join(runtime, `node.${process.pid}`)
symlinkSync(join('pinned', nodeInside), link)
renameSync(link, join(runtime, 'node'))
rmSync(retired, { recursive: true, force: true })
