// Hints that a host's audit log has grown, by NOTIFY. Hints get lost whenever the connection does: they spare waiting, and
// nothing may rely on them.

import type pg from 'pg'
import type { AuditListener, Listening } from '../engine.ts'
import { auditChannel } from './audit.ts'
import { connectClient, type Server, translateClientError } from './connection.ts'

const firstRetryMs = 500
const maxRetryMs = 10_000

export function listenForAudit(server: Server, host: string, { onHint, onState }: AuditListener): Listening {
  let isClosed = false
  let retryMs = firstRetryMs
  let retry: NodeJS.Timeout | undefined
  let client: pg.Client | undefined
  let connecting = connect()

  async function connect(): Promise<void> {
    try {
      client = await connectClient(server, `teleclaude audit hints of ${host}`)
      const connected = client
      connected.on('notification', ({ payload }) => {
        if (payload === host) onHint()
      })
      await connected.query(`LISTEN ${auditChannel}`)
      connected.on('end', () => again(new Error('the connection broke')))
      retryMs = firstRetryMs
      onState({ listening: true })
      // Whatever came before.
      onHint()
    } catch (error) {
      await client?.end()
      again(error)
    }
  }

  function again(cause: unknown): void {
    if (isClosed) return
    onState({ listening: false, why: translateClientError(cause, server.where) })
    retry = setTimeout(() => {
      connecting = connect()
    }, retryMs)
    retryMs = Math.min(retryMs * 2, maxRetryMs)
  }

  return {
    async close() {
      isClosed = true
      clearTimeout(retry)
      await connecting
      await client?.end()
    },
  }
}
