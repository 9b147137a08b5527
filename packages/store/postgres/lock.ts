// One instance per host on a database: an advisory lock that lives as long as one connection of its own. When that breaks,
// the lock is asked for again until it is held again, or somebody else holds it.
//
// The lock guards what an instance keeps in its memory between operations. An operation that is under way when the lock goes
// may still commit: each is one transaction that is right among any others.

import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type pg from 'pg'
import { z } from 'zod'
import { type InstanceLock, type LockHolder, StoreError } from '../contract.ts'
import { connectClient, type Server } from './connection.ts'
import { lockKey, queryClient } from './migrate.ts'

const lockedRow = z.strictObject({ locked: z.boolean() })
const holderRow = z.strictObject({
  pid: z.int(),
  application_name: z.string().nullable(),
  since: z.string().nullable(),
})

/** How long a connection that says nothing any more is believed in: `heartbeatMs` after an answer it is asked for the next
 *  one, which may take `answerMs`. The server has to be the more patient side: it frees the lock when it gives up a
 *  connection, and by then nothing may be done in the name of the lock any more. */
export type Patience = { readonly heartbeatMs: number; readonly answerMs: number; readonly retryMs: number }
const defaultPatience: Patience = { heartbeatMs: 2_000, answerMs: 5_000, retryMs: 500 }
const serverKeepalive = [
  'tcp_keepalives_idle = 20',
  'tcp_keepalives_interval = 5',
  'tcp_keepalives_count = 4',
  'idle_session_timeout = 0',
]

type Answer =
  | { readonly state: 'held'; readonly client: pg.Client }
  /** Our own session of before, which the server has not given up yet. */
  | { readonly state: 'ending' }
  | { readonly state: 'others'; readonly holder: string }
type Ask = () => Promise<Answer>

/** @throws StoreError 'lock-held' naming the holder, 'unavailable' */
export async function acquireLock(
  server: Server,
  holder: LockHolder,
  patience = defaultPatience,
): Promise<InstanceLock> {
  const token = randomBytes(4).toString('hex')
  const ask = () => askForLock(server, holder, token, patience.answerMs)
  const answer = await ask()
  if (answer.state === 'held') return hold(answer.client, ask, server, holder.host, patience)
  const other = answer.state === 'others' ? answer.holder : 'this instance'
  throw new StoreError(
    'lock-held',
    `cannot start on ${server.where} as host ${holder.host}: ${other} holds its lock; stop that one first`,
  )
}

async function askForLock(server: Server, holder: LockHolder, token: string, answerMs: number): Promise<Answer> {
  // PostgreSQL keeps the first 63 bytes: the host, which is known to whoever looks here, comes last.
  const client = await connectClient(server, `${holder.program} pid ${holder.pid} (${token}) on ${holder.host}`)
  const late = setTimeout(() => cut(client), answerMs)
  const key = lockKey(`instance of ${holder.host}`)
  let isHeld = false
  try {
    for (const setting of serverKeepalive) await queryClient(client, server.where, z.unknown(), `SET ${setting}`)
    for (;;) {
      const locked = await queryClient(client, server.where, lockedRow, 'SELECT pg_try_advisory_lock($1) AS locked', [
        key,
      ])
      isHeld = locked[0]?.locked === true
      if (isHeld) return { state: 'held', client }
      const other = await findHolder(client, server, key)
      // Whoever held it a moment ago is gone.
      if (other === undefined) continue
      const name = other.application_name ?? 'another instance'
      if (!name.includes(`(${token})`)) {
        return { state: 'others', holder: `${name} (since ${other.since ?? 'an unknown time'})` }
      }
      await queryClient(client, server.where, z.unknown(), 'SELECT pg_terminate_backend($1)', [other.pid])
      return { state: 'ending' }
    }
  } finally {
    clearTimeout(late)
    if (!isHeld) cut(client)
  }
}

/** Nothing more is to be said on it. To ask a server for its leave could take for ever, where that is frozen. */
function cut(client: pg.Client): void {
  client.connection.stream.destroy()
}

/** A bigint key is shown as its two halves, with objsubid 1 (PostgreSQL manual, pg_locks). */
async function findHolder(
  client: pg.Client,
  server: Server,
  key: string,
): Promise<z.infer<typeof holderRow> | undefined> {
  const [row] = await queryClient(
    client,
    server.where,
    holderRow,
    `
    SELECT pid, application_name, to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS since
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (classid::bigint << 32 | objid::bigint) = $1::bigint`,
    [key],
  )
  return row
}

type Holding = { readonly state: 'held'; readonly client: pg.Client; provenAtMs: number }
type State = Holding | { readonly state: 'away' | 'over'; readonly why: string; readonly cause?: unknown }

function hold(first: pg.Client, ask: Ask, server: Server, host: string, patience: Patience): InstanceLock {
  const { promise: lost, resolve: lose } = Promise.withResolvers<StoreError>()
  const { promise: released, resolve: endWaiting } = Promise.withResolvers<void>()
  const awayListeners: ((why: StoreError) => void)[] = []
  let regaining: Promise<void> | undefined
  let state: State = take(first)

  function take(client: pg.Client): Holding {
    const holding: Holding = { state: 'held', client, provenAtMs: performance.now() }
    let timer = setTimeout(beat, patience.heartbeatMs).unref()

    function give(cause: unknown): void {
      clearTimeout(timer)
      if (state !== holding) return
      cut(client)
      state = {
        state: 'away',
        why: "the connection that holds this host's lock broke; it is being asked for again",
        cause,
      }
      const why = new StoreError('unavailable', `cannot use ${server.where}: ${state.why}`, { cause })
      for (const listener of awayListeners) listener(why)
      regaining = regain()
    }

    /** A connection may be dead without a word (a pulled cable, a frozen server): it is asked for one. */
    async function beat(): Promise<void> {
      timer = setTimeout(give, patience.answerMs, new Error('the server did not answer in time')).unref()
      try {
        await client.query('SELECT 1')
        clearTimeout(timer)
        holding.provenAtMs = performance.now()
        if (state === holding) timer = setTimeout(beat, patience.heartbeatMs).unref()
      } catch (error) {
        give(error)
      }
    }

    client.on('error', give)
    client.on('end', () => give(new Error('the connection ended')))
    return holding
  }

  async function regain(): Promise<void> {
    while (state.state === 'away') {
      const answer = await ask().catch(stayAway)
      if (answer?.state === 'held') {
        if (isAway()) state = take(answer.client)
        else cut(answer.client)
        return
      }
      if (answer?.state === 'others' && isAway()) {
        const why = `${answer.holder} holds the lock of host ${host} now`
        state = { state: 'over', why }
        lose(new StoreError('lock-held', `cannot go on with ${server.where}: ${why}`))
        return
      }
      await Promise.race([released, wait(patience.retryMs, undefined, { ref: false })])
    }
  }

  /** Asks for the state anew: it may have become another one while something was waited for. */
  function isAway(): boolean {
    return state.state === 'away'
  }

  function stayAway(cause: unknown): null {
    if (state.state === 'away') state = { ...state, cause }
    return null
  }

  return {
    lost,
    onAway(listener) {
      awayListeners.push(listener)
    },
    requireHeld() {
      if (state.state !== 'held') {
        throw new StoreError('unavailable', `cannot use ${server.where}: ${state.why}`, { cause: state.cause })
      }
      // The clock, and not the timers, says how old the last answer is: where this process has stood still, operations
      // come before the news of what became of the connection.
      if (performance.now() - state.provenAtMs <= patience.heartbeatMs + patience.answerMs) return
      throw new StoreError('unavailable', `cannot use ${server.where}: it has not said for long that the lock is held`)
    },
    async release() {
      if (state.state === 'over') return
      const { client } = state.state === 'held' ? state : { client: null }
      state = { state: 'over', why: 'the lock of this host was released' }
      endWaiting()
      if (client !== null) {
        // A frozen server does not answer a goodbye, either.
        const late = setTimeout(() => cut(client), patience.answerMs)
        await client.end()
        clearTimeout(late)
      }
      await regaining
    },
  }
}
