// A configuration file's text, or why there is none.

import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { ConfigError } from './config-error.ts'
import { shellQuote } from './shell-quote.ts'

const maxBytes = 1024 * 1024

export type ConfigFile = { readonly text: string; readonly stats: Stats }

/** Null where there is no file at that path.
 *  @throws ConfigError as `readConfigFile` */
export function readConfigFileIfThere(file: string): ConfigFile | null {
  try {
    return readConfigFile(file)
  } catch (error) {
    if (error instanceof ConfigError && isMissing(error.cause)) return null
    throw error
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}

/** @throws ConfigError where it is not there, no file, closed to this process, too long, or not UTF-8 */
export function readConfigFile(file: string): ConfigFile {
  const refuse = (problem: string, mend: string, cause?: unknown) =>
    new ConfigError([{ file, line: 1, column: 1, key: '', problem, mend }], { cause })
  const quoted = shellQuote(file)
  let descriptor: number
  try {
    // A FIFO would keep an open(2) waiting for its writer.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (isMissing(error)) throw refuse('is not there', 'make it; an empty one knows nobody', error)
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    throw refuse(`can't be read (${code})`, `let uid ${process.geteuid?.()} read it: chmod o+r ${quoted}`, error)
  }
  try {
    const stats = fstatSync(descriptor)
    if (!stats.isFile()) throw refuse('is not a file', `move it out of the way: mv ${quoted} ${quoted}.old`)
    const bytes = stats.size > maxBytes ? null : readFileSync(descriptor)
    if (bytes === null || bytes.length > maxBytes) throw refuse(`is longer than ${maxBytes} bytes`, 'shorten it')
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), stats }
  } catch (error) {
    if (error instanceof TypeError) throw refuse('is not text in UTF-8', 'write it anew in UTF-8', error)
    throw error
  } finally {
    closeSync(descriptor)
  }
}
