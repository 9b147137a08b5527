// Liveness says that the process answers; readiness asks the database.

import { setTimeout as delay } from 'node:timers/promises'
import type { Readiness } from '@teleclaude/core/api.ts'
import { StoreError } from '@teleclaude/store/contract.ts'
import type { Answer } from './http/route.ts'
import type { Service } from './service.ts'

/** Who asks whether the database answers wants to know it now. */
const pingPatienceMs = 2_000

async function failLate(): Promise<never> {
  await delay(pingPatienceMs, undefined, { ref: false })
  throw new StoreError('unavailable', `cannot reach the database: it has not answered for ${pingPatienceMs} ms`)
}

export async function readHealth(): Promise<Answer> {
  return { status: 200, json: { status: 'alive' } }
}

export async function readReadiness({ service }: { readonly service: Service }): Promise<Answer> {
  try {
    await Promise.race([service.store.ping(), failLate()])
    const json: Readiness = { status: 'ready', version: service.version, database: { status: 'ok' } }
    return { status: 200, json }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    service.log.warn({ err: error }, 'not ready: the database does not answer')
    // The code alone: what the message names (a path, a server) is not everybody's to know.
    const json: Readiness = {
      status: 'unavailable',
      version: service.version,
      database: { status: 'unavailable', reason: error.code },
    }
    return { status: 503, json }
  }
}
