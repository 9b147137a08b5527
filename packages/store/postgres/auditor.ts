// What a host's auditor keeps in PostgreSQL.

import { type CommonQueryMethods, type DatabasePool, sql } from 'slonik'
import { z } from 'zod'
import type { Alarm, AuditorWord, ParkedEntry, SinkProgress } from '../audit-contract.ts'
import {
  alarmColumns,
  alarmRow,
  maxAlarms,
  parkedRow,
  sinkRow,
  toAlarm,
  toParked,
  toSink,
  toWord,
  wordRow,
} from '../audit-rows.ts'
import { isId, requireHost, requireMessage, requireParked, requireSink, requireText } from '../values.ts'
import { advanceCursor } from './audit.ts'
import { timeValue } from './connection.ts'
import { channels } from './hints.ts'

const noRow = z.strictObject({})
const notifiedRow = z.strictObject({ notified: z.literal('') })

export async function cosign(
  db: CommonQueryMethods,
  host: string,
  {
    size,
    signer,
    line,
    atUs,
  }: { readonly size: number; readonly signer: string; readonly line: string; readonly atUs: number },
): Promise<void> {
  requireHost(host)
  requireText(signer, "the cosignature's signer")
  requireText(line, 'the cosignature')
  await db.any(sql.type(notifiedRow)`
    WITH added AS (
      INSERT INTO audit_cosignatures (host, size, signer, line, made_at)
      VALUES (${host}, ${size}, ${signer}, ${line}, ${timeValue(atUs)})
      ON CONFLICT (host, size, signer) DO NOTHING RETURNING host
    )
    SELECT pg_notify(${channels.auditor}, host)::text AS notified FROM added`)
}

export async function sayWord(db: CommonQueryMethods, host: string, word: AuditorWord): Promise<void> {
  requireHost(host)
  requireMessage(word)
  const { vkey, startedAtUs, atUs, state, message, verifiedSeq } = word
  requireText(vkey, "the auditor's key")
  // What it said before is seen as it was, since all of a statement sees the same.
  await db.any(sql.type(notifiedRow)`
    WITH said AS (
      INSERT INTO auditor_words (host, vkey, started_at, said_at, state, message, verified_seq)
      VALUES (${host}, ${vkey}, ${timeValue(startedAtUs)}, ${timeValue(atUs)}, ${state}, ${message}, ${verifiedSeq})
      ON CONFLICT (host) DO UPDATE SET vkey = excluded.vkey, started_at = excluded.started_at, said_at = excluded.said_at,
        state = excluded.state, message = excluded.message, verified_seq = excluded.verified_seq
      RETURNING host
    )
    SELECT pg_notify(${channels.auditor}, host)::text AS notified FROM said
    WHERE NOT EXISTS (
      SELECT FROM auditor_words WHERE host = ${host} AND vkey = ${vkey} AND started_at = ${timeValue(startedAtUs)}
        AND state = ${state} AND message IS NOT DISTINCT FROM ${message}::text AND verified_seq = ${verifiedSeq}
    )`)
}

export function lastWord(db: CommonQueryMethods, host: string): Promise<AuditorWord | null> {
  return db.maybeOne(sql.type(wordRow.transform(toWord))`
    SELECT vkey, started_at, said_at, state, message, verified_seq FROM auditor_words WHERE host = ${host}`)
}

export async function raiseAlarm(
  db: CommonQueryMethods,
  host: string,
  alarm: Omit<Alarm, 'acknowledged'>,
): Promise<void> {
  requireHost(host)
  requireMessage(alarm)
  const { id, kind, atUs, fromSeq, toSeq, message } = alarm
  await db.any(sql.type(notifiedRow)`
    WITH raised AS (
      INSERT INTO audit_alarms (id, host, kind, at, from_seq, to_seq, message)
      VALUES (${id}, ${host}, ${kind}, ${timeValue(atUs)}, ${fromSeq}, ${toSeq}, ${message})
      ON CONFLICT DO NOTHING RETURNING host
    )
    SELECT pg_notify(${channels.auditor}, host)::text AS notified FROM raised`)
}

const alarms = sql.join(
  alarmColumns.map((name) => sql.identifier([name])),
  sql.fragment`, `,
)

export function listAlarms(
  db: CommonQueryMethods,
  host: string,
  { unacknowledged }: { readonly unacknowledged: boolean },
): Promise<readonly Alarm[]> {
  const isAsked = unacknowledged ? sql.fragment`acknowledged_at IS NULL` : sql.fragment`true`
  return db.any(sql.type(alarmRow.transform(toAlarm))`
    SELECT ${alarms} FROM audit_alarms WHERE host = ${host} AND ${isAsked} ORDER BY at DESC, id DESC LIMIT ${maxAlarms}`)
}

export async function acknowledgeAlarm(
  db: CommonQueryMethods,
  host: string,
  id: string,
  by: string,
  atUs: number,
): Promise<boolean> {
  requireText(by, 'who acknowledges the alarm')
  if (!isId(id)) return false
  const { rowCount } = await db.query(sql.type(noRow)`
    UPDATE audit_alarms SET acknowledged_by = ${by}, acknowledged_at = ${timeValue(atUs)}
    WHERE id = ${id} AND host = ${host} AND acknowledged_at IS NULL`)
  return rowCount === 1
}

export function listSinks(db: CommonQueryMethods, host: string): Promise<readonly SinkProgress[]> {
  return db.any(sql.type(sinkRow.transform(toSink))`
    SELECT sink, auditor_cursors.seq, moved_at, count(auditor_parked.seq) AS parked, min(auditor_parked.seq) AS first_parked
    FROM auditor_cursors LEFT JOIN auditor_parked USING (host, sink)
    WHERE host = ${host} GROUP BY sink, auditor_cursors.seq, moved_at ORDER BY sink`)
}

export async function parkEntries(
  db: DatabasePool,
  host: string,
  sink: string,
  entries: readonly { readonly seq: number; readonly reason: string }[],
  seq: number,
  atUs: number,
): Promise<void> {
  requireHost(host)
  requireSink(sink)
  for (const { reason } of entries) requireParked(reason)
  await db.transaction(async (transaction) => {
    await transaction.query(sql.type(noRow)`
      INSERT INTO auditor_parked (host, sink, seq, reason, attempts, parked_at, tried_at)
      SELECT ${host}, ${sink}, seq, reason, 1, ${timeValue(atUs)}, ${timeValue(atUs)} FROM unnest(
        ${sql.array(
          entries.map((entry) => entry.seq),
          'int8',
        )},
        ${sql.array(
          entries.map(({ reason }) => reason),
          'text',
        )}
      ) AS parked (seq, reason)
      ON CONFLICT (host, sink, seq) DO NOTHING`)
    await advanceCursor(transaction, host, sink, seq, atUs)
  })
}

export function listParked(
  db: CommonQueryMethods,
  host: string,
  { sink, afterSeq, limit }: { readonly sink: string | null; readonly afterSeq: number; readonly limit: number },
): Promise<readonly ParkedEntry[]> {
  const isAsked = sink === null ? sql.fragment`true` : sql.fragment`sink = ${sink}`
  // WITH TIES: all sinks that parked the last of these, since the next page is after it.
  return db.any(sql.type(parkedRow.transform(toParked))`
    SELECT sink, seq, reason, attempts, parked_at, tried_at FROM (
      SELECT * FROM auditor_parked WHERE host = ${host} AND ${isAsked} AND seq > ${afterSeq}
      ORDER BY seq FETCH FIRST ${limit} ROWS WITH TIES
    ) AS page
    ORDER BY seq, sink`)
}

export async function unparkEntry(db: CommonQueryMethods, host: string, sink: string, seq: number): Promise<void> {
  await db.query(sql.type(noRow)`
    DELETE FROM auditor_parked WHERE host = ${host} AND sink = ${sink} AND seq = ${seq}`)
}

export async function noteAttempt(
  db: CommonQueryMethods,
  host: string,
  sink: string,
  seq: number,
  reason: string,
  atUs: number,
): Promise<void> {
  requireParked(reason)
  await db.query(sql.type(noRow)`
    UPDATE auditor_parked SET attempts = attempts + 1, reason = ${reason}, tried_at = ${timeValue(atUs)}
    WHERE host = ${host} AND sink = ${sink} AND seq = ${seq}`)
}
