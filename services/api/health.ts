// Liveness says that the process answers; readiness asks the database.

import type { Readiness } from '@teleclaude/core/api.ts'
import { StoreError } from '@teleclaude/store/contract.ts'
import type { Answer } from './http/route.ts'
import type { Service } from './service.ts'

export async function readHealth(): Promise<Answer> {
  return { status: 200, json: { status: 'alive' } }
}

export async function readReadiness({ service }: { readonly service: Service }): Promise<Answer> {
  try {
    await service.store.ping()
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
