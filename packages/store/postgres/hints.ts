// Hints that there may be news, by NOTIFY: a host's audit log has grown, its sessions have commands, events came. Hints get
// lost whenever the connection does: they spare waiting, and nothing may rely on them.

import type pg from 'pg'
import { type CommonQueryMethods, sql } from 'slonik'
import { z } from 'zod'
import type { Listening } from '../contract.ts'
import type { AuditListener } from '../engine.ts'
import { connectClient, type Server, translateClientError } from './connection.ts'

const firstRetryMs = 500
const maxRetryMs = 10_000

/** `audit` and `commands` say the host; `events` says nothing. */
export const channels = {
  audit: 'teleclaude_audit',
  commands: 'teleclaude_commands',
  events: 'teleclaude_events',
} as const

const notifiedRow = z.strictObject({ notified: z.literal('') })

/** Whoever listens hears of it after the commit, if there is one. */
export async function notify(db: CommonQueryMethods, channel: string, payload: string): Promise<void> {
  await db.one(sql.type(notifiedRow)`SELECT pg_notify(${channel}, ${payload})::text AS notified`)
}

export function listenForAudit(server: Server, host: string, { onHint, onState }: AuditListener): Listening {
  return listenTo(server, `teleclaude audit hints of ${host}`, [channels.audit], {
    onNotice: (_, payload) => {
      if (payload === null || payload === host) onHint()
    },
    onState,
  })
}

export function listenForSessions(
  server: Server,
  host: string,
  onHint: (what: 'commands' | 'events') => void,
): Listening {
  return listenTo(server, `teleclaude hints of ${host}`, [channels.commands, channels.events], {
    onNotice: (channel, payload) => {
      if (channel === channels.events) onHint('events')
      else if (payload === null || payload === host) onHint('commands')
    },
    onState: () => {
      // Nothing is lost but time.
    },
  })
}

type Listener = Pick<AuditListener, 'onState'> & {
  /** Null for whatever came before the connection was there: once for each channel, each time. */
  readonly onNotice: (channel: string, payload: string | null) => void
}

/** On one connection, and again on another one when that breaks, for as long as it is not closed. */
function listenTo(server: Server, name: string, names: readonly string[], { onNotice, onState }: Listener): Listening {
  let isClosed = false
  let retryMs = firstRetryMs
  let retry: NodeJS.Timeout | undefined
  let client: pg.Client | undefined
  let connecting = connect()

  async function connect(): Promise<void> {
    try {
      client = await connectClient(server, name)
      const connected = client
      connected.on('notification', ({ channel, payload }) => {
        if (!isClosed) onNotice(channel, payload ?? '')
      })
      for (const channel of names) await connected.query(`LISTEN ${channel}`)
      connected.on('end', () => again(new Error('the connection broke')))
      retryMs = firstRetryMs
      if (isClosed) return
      onState({ listening: true })
      for (const channel of names) onNotice(channel, null)
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
