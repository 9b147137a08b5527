// A file that a command writes its result into: a new one, for its owner alone.

import { createWriteStream, openSync, rmSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { exitCodes, Failure } from '../failure.ts'

/** Writes to standard output where no file is named and that is no terminal, or where the file is `-`.
 *  @throws Failure */
export async function writeOut(content: AsyncIterable<unknown>, file: string | undefined): Promise<void> {
  if (file === undefined || file === '-') return pipeline(Readable.from(content), process.stdout, { end: false })
  const sink = createWriteStream(file, { fd: create(file), flush: true })
  try {
    await pipeline(Readable.from(content), sink)
  } catch (error) {
    // Half of it must not look whole.
    rmSync(file, { force: true })
    throw error
  }
}

/** Before anything is asked for.
 *  @throws Failure */
export function refuseTerminal(what: string, file: string | undefined): void {
  if (file !== undefined || !process.stdout.isTTY) return
  const next = 'Name a new file with --output, or say --output - to have it here.'
  throw new Failure(exitCodes.usage, `cannot show ${what}: standard output is a terminal\n${next}`)
}

function create(file: string): number {
  try {
    return openSync(file, 'wx', 0o600)
  } catch (error) {
    const isThere = error instanceof Error && 'code' in error && error.code === 'EEXIST'
    const why = isThere ? 'it is there already' : error instanceof Error ? error.message : String(error)
    throw new Failure(exitCodes.data, `cannot write ${file}: ${why}`, { cause: error })
  }
}
