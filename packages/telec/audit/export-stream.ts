// The whole log as the service sends it, a line at a time.

import type { Client } from '@teleclaude/client/client.ts'
import { maxExportLineLength } from '@teleclaude/core/audit-export.ts'
import { exitCodes, Failure } from '../failure.ts'
import { readLines } from '../output/lines.ts'
import { type Progress, startProgress } from '../output/progress.ts'

/** @throws Failure where the service broke off */
export async function* readExport(client: Client, what = 'Verified'): AsyncGenerator<string> {
  const progress = await startExportProgress(client, what)
  try {
    const stream = await client.readAuditExport()
    for await (const line of readLines(stream, maxExportLineLength)) {
      progress.step()
      yield line
    }
  } catch (error) {
    throw explainCut(error, 'read all of the log')
  } finally {
    progress.end()
  }
}

/** What an answer that has begun ends with can't say why. */
export function explainCut(error: unknown, what: string): unknown {
  const isCut = error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
  if (!isCut) return error
  return new Failure(exitCodes.unavailable, `cannot ${what}: the service broke off; try again`, { cause: error })
}

/** There are more lines than entries, by a few checkpoints. */
async function startExportProgress(client: Client, what: string): Promise<Progress> {
  const { size } = await client.readCheckpoint()
  return startProgress(what, size)
}
