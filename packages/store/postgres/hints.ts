// Hints that there may be news, by NOTIFY: a host's audit log has grown, its sessions have commands, events came, grants were
// opened or ended, its auditor has spoken. Hints get lost whenever the connection does: they spare waiting, and nothing may rely on them.

import type pg from 'pg'
import { type CommonQueryMethods, sql } from 'slonik'
import { z } from 'zod'
import type { Hint, Listening } from '../contract.ts'
import type { AuditListener } from '../engine.ts'
import { connectClient, type Server, translateClientError } from './connection.ts'

const firstRetryMs = 500
const maxRetryMs = 10_000

/** How long a connection that says nothing is believed in: each `heartbeatMs` it is asked for a word, which may take `answerMs`.
 *  Nothing else tells a quiet one from one that is dead (a pulled cable, a server that stands still). */
export type Patience = { readonly heartbeatMs: number; readonly answerMs: number }
const defaultPatience: Patience = { heartbeatMs: 5_000, answerMs: 5_000 }

/** `audit`, `commands` and `auditor` say the host; `events` and `access` say nothing. */
export const channels = {
  audit: 'teleclaude_audit',
  commands: 'teleclaude_commands',
  events: 'teleclaude_events',
  access: 'teleclaude_access',
  auditor: 'teleclaude_auditor',
} as const

const notifiedRow = z.strictObject({ notified: z.literal('') })

/** Whoever listens hears of it after the commit, if there is one. */
export async function notify(db: CommonQueryMethods, channel: string, payload: string): Promise<void> {
  await db.one(sql.type(notifiedRow)`SELECT pg_notify(${channel}, ${payload})::text AS notified`)
}

export function listenForAudit(
  server: Server,
  host: string,
  { onHint, onState }: AuditListener,
  patience = defaultPatience,
): Listening {
  const listener: Listener = {
    onNotice: (_, payload) => {
      if (payload === null || payload === host) onHint()
    },
    onState,
  }
  return listenTo(server, `teleclaude audit hints of ${host}`, [channels.audit], listener, patience)
}

const hintOf: ReadonlyMap<string, Hint> = new Map([
  [channels.commands, 'commands'],
  [channels.events, 'events'],
  [channels.access, 'access'],
  [channels.auditor, 'auditor'],
])

export function listenForHints(server: Server, host: string, onHint: (what: Hint) => void): Listening {
  return listenTo(server, `teleclaude hints of ${host}`, [...hintOf.keys()], {
    onNotice: (channel, payload) => {
      const what = hintOf.get(channel)
      const isOfAll = channel === channels.events || channel === channels.access
      if (what !== undefined && (isOfAll || payload === null || payload === host)) onHint(what)
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
function listenTo(
  server: Server,
  name: string,
  names: readonly string[],
  { onNotice, onState }: Listener,
  { heartbeatMs, answerMs }: Patience = defaultPatience,
): Listening {
  let isClosed = false
  let retryMs = firstRetryMs
  let retry: NodeJS.Timeout | undefined
  let client: pg.Client | undefined
  let beat: NodeJS.Timeout | undefined
  let connecting = connect()

  /** Cuts the connection that does not answer in time: whoever waits for it then hears that it broke. */
  async function ask(asked: pg.Client, statement: string): Promise<void> {
    const late = setTimeout(() => asked.connection.stream.destroy(), answerMs)
    try {
      await asked.query(statement)
    } finally {
      clearTimeout(late)
    }
  }

  function keepAsking(asked: pg.Client): void {
    beat = setTimeout(() => {
      // Its end is heard of where it is listened for.
      ask(asked, 'SELECT 1').then(
        () => !isClosed && asked === client && keepAsking(asked),
        () => null,
      )
    }, heartbeatMs).unref()
  }

  async function connect(): Promise<void> {
    try {
      client = await connectClient(server, name)
      const connected = client
      connected.on('notification', ({ channel, payload }) => {
        if (!isClosed) onNotice(channel, payload ?? '')
      })
      for (const channel of names) await ask(connected, `LISTEN ${channel}`)
      connected.on('end', () => again(new Error('the connection broke')))
      keepAsking(connected)
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
    clearTimeout(beat)
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
      clearTimeout(beat)
      await connecting
      if (client === undefined) return
      // One that is dead does not answer a goodbye, either.
      const { stream } = client.connection
      const late = setTimeout(() => stream.destroy(), answerMs)
      await client.end()
      clearTimeout(late)
    },
  }
}
