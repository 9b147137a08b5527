// Puts the files into their directory: all of them or none, never in the place of another.

import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  type Stats,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ConfigError, type ConfigFault } from '../config-error.ts'
import { shellQuote } from '../shell-quote.ts'

export type NewFile = { readonly path: string; readonly text: string; readonly mode: number }

const directoryMode = 0o755

/** Those that are not there yet.
 *  @throws ConfigError where something else is in the place of one, or a secret one is open to others */
export function findMissing(files: readonly NewFile[]): readonly NewFile[] {
  const faults: ConfigFault[] = []
  const missing = files.filter((file) => {
    const found = lookAt(file.path)
    const fault = found === null ? null : findDifference(file, found)
    if (fault !== null) faults.push({ file: file.path, line: 1, column: 1, key: '', ...fault })
    return found === null
  })
  if (faults.length > 0) throw new ConfigError(faults)
  return missing
}

function lookAt(path: string): Stats | null {
  try {
    return lstatSync(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw unusable(path, error)
  }
}

function findDifference({ path, text, mode }: NewFile, found: Stats) {
  const mend = 'name another directory with --to, or move this one out of the way'
  if (!found.isFile()) return { problem: 'is there, and is no file', mend }
  if (readText(path) !== text) return { problem: 'is there, with something else in it', mend }
  if ((found.mode & 0o777 & ~mode) === 0) return null
  const shown = (found.mode & 0o7777).toString(8).padStart(4, '0')
  const closed = mode.toString(8).padStart(4, '0')
  return { problem: `is there, open to others (mode ${shown})`, mend: `close it: chmod ${closed} ${shellQuote(path)}` }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw unusable(path, error)
  }
}

/** @throws ConfigError where the directory can't be written to: then none of them is there */
export function writeFiles(directory: string, files: readonly NewFile[]): void {
  const temporary: string[] = []
  const placed: string[] = []
  try {
    if (mkdirSync(directory, { recursive: true, mode: directoryMode }) !== undefined)
      chmodSync(directory, directoryMode)
    const prepared = files.map((file) => {
      const path = join(directory, `.split-${randomBytes(8).toString('hex')}`)
      temporary.push(path)
      writeNew(path, file)
      return { from: path, to: file.path }
    })
    for (const { from, to } of prepared) {
      // rename(2) would replace what has come there meanwhile.
      linkSync(from, to)
      placed.push(to)
    }
    syncDirectory(directory)
  } catch (error) {
    for (const path of placed) rmSync(path, { force: true })
    throw unusable(directory, error)
  } finally {
    for (const path of temporary) rmSync(path, { force: true })
  }
}

function writeNew(path: string, { text, mode }: NewFile): void {
  // A secret is closed to others from its first byte on.
  const descriptor = openSync(
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o600,
  )
  try {
    writeFileSync(descriptor, text)
    fchmodSync(descriptor, mode)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function syncDirectory(directory: string): void {
  const descriptor = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function unusable(file: string, error: unknown): unknown {
  const code = codeOf(error)
  if (code === null) return error
  const place = { file, line: 1, column: 1, key: '' }
  const mend = `name a directory with --to that uid ${process.geteuid?.()} can write into`
  return new ConfigError([{ ...place, problem: `can't be used (${code})`, mend }], { cause: error })
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
}
