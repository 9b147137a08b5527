// One instance per host on a database: an advisory lock that lives as long as one connection of its own.

import type pg from 'pg'
import { z } from 'zod'
import { type InstanceLock, type LockHolder, StoreError } from '../contract.ts'
import { connectClient, type Server } from './connection.ts'
import { lockKey, queryClient } from './migrate.ts'

const lockedRow = z.strictObject({ locked: z.boolean() })
const holderRow = z.strictObject({ application_name: z.string().nullable(), since: z.string().nullable() })

/** How long a connection that says nothing any more is believed in. The server has to be the more patient side: it frees the
 *  lock when it gives up a connection, and by then the instance must have stopped. */
export type Patience = { readonly heartbeatMs: number; readonly heartbeatTimeoutMs: number }
const defaultPatience: Patience = { heartbeatMs: 5_000, heartbeatTimeoutMs: 10_000 }
const serverKeepalive = [
  'tcp_keepalives_idle = 20',
  'tcp_keepalives_interval = 5',
  'tcp_keepalives_count = 4',
  'idle_session_timeout = 0',
]

export async function acquireLock(
  server: Server,
  holder: LockHolder,
  patience = defaultPatience,
): Promise<InstanceLock> {
  // PostgreSQL keeps the first 63 bytes: the host, which is known to whoever looks here, comes last.
  const client = await connectClient(server, `${holder.program} pid ${holder.pid} on ${holder.host}`)
  const key = lockKey(`instance of ${holder.host}`)
  try {
    for (const setting of serverKeepalive) await queryClient(client, server.where, z.unknown(), `SET ${setting}`)
    const [row] = await queryClient(client, server.where, lockedRow, 'SELECT pg_try_advisory_lock($1) AS locked', [key])
    if (row?.locked !== true) {
      const other = await describeHolder(client, server, key)
      throw new StoreError(
        'lock-held',
        `cannot start on ${server.where} as host ${holder.host}: ${other} holds its lock; stop that one first`,
      )
    }
  } catch (error) {
    await client.end()
    throw error
  }
  return hold(client, server, patience)
}

/** A bigint key is shown as its two halves, with objsubid 1 (PostgreSQL manual, pg_locks). */
async function describeHolder(client: pg.Client, server: Server, key: string): Promise<string> {
  const [row] = await queryClient(
    client,
    server.where,
    holderRow,
    `
    SELECT application_name, to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (classid::bigint << 32 | objid::bigint) = $1::bigint`,
    [key],
  )
  if (row === undefined) return 'another instance, which has just stopped,'
  return `${row.application_name ?? 'another instance'} (since ${row.since ?? 'an unknown time'})`
}

function hold(client: pg.Client, server: Server, patience: Patience): InstanceLock {
  const { promise: lost, resolve: lose } = Promise.withResolvers<StoreError>()
  let isOver = false
  let timer = setTimeout(beat, patience.heartbeatMs).unref()

  function give(cause: unknown): void {
    clearTimeout(timer)
    if (isOver) return
    isOver = true
    // Nothing more is to be said on a connection that may be dead without knowing it.
    client.connection.stream.destroy()
    const why = 'the connection that held the lock of this host broke'
    lose(new StoreError('unavailable', `cannot go on with ${server.where}: ${why}; start again`, { cause }))
  }

  /** A connection may be dead without a word (a pulled cable, a frozen server): it is asked for one. */
  async function beat(): Promise<void> {
    timer = setTimeout(give, patience.heartbeatTimeoutMs, new Error('the server did not answer in time')).unref()
    try {
      await client.query('SELECT 1')
      clearTimeout(timer)
      if (!isOver) timer = setTimeout(beat, patience.heartbeatMs).unref()
    } catch (error) {
      give(error)
    }
  }

  client.on('error', give)
  client.on('end', () => give(undefined))

  return {
    lost,
    async release() {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      await client.end()
    },
  }
}
