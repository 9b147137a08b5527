// What a host's auditor keeps in SQLite.

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
import { requireHost, requireMessage, requireParked, requireSink, requireText } from '../values.ts'
import { advanceCursor } from './audit.ts'
import type { Connection } from './connection.ts'

/** Returns whether it is new. */
export function cosign(
  connection: Connection,
  host: string,
  {
    size,
    signer,
    line,
    atUs,
  }: { readonly size: number; readonly signer: string; readonly line: string; readonly atUs: number },
): boolean {
  requireHost(host)
  requireText(signer, "the cosignature's signer")
  requireText(line, 'the cosignature')
  const insert = connection.prepare(`
    INSERT INTO audit_cosignatures (host, size, signer, line, made_at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (host, size, signer) DO NOTHING`)
  return connection.write(() => insert.run(host, size, signer, line, atUs)).changes === 1
}

/** Returns whether anything but its time is another. */
export function sayWord(connection: Connection, host: string, word: AuditorWord): boolean {
  requireHost(host)
  requireMessage(word)
  const { vkey, startedAtUs, atUs, state, message, verifiedSeq } = word
  requireText(vkey, "the auditor's key")
  const upsert = connection.prepare(`
    INSERT INTO auditor_words (host, vkey, started_at, said_at, state, message, verified_seq) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (host) DO UPDATE SET vkey = excluded.vkey, started_at = excluded.started_at, said_at = excluded.said_at,
      state = excluded.state, message = excluded.message, verified_seq = excluded.verified_seq`)
  return connection.write(() => {
    const before = lastWord(connection, host)
    upsert.run(host, vkey, startedAtUs, atUs, state, message, verifiedSeq)
    return (
      before === null ||
      before.vkey !== vkey ||
      before.startedAtUs !== startedAtUs ||
      before.state !== state ||
      before.message !== message ||
      before.verifiedSeq !== verifiedSeq
    )
  })
}

export function lastWord(connection: Connection, host: string): AuditorWord | null {
  const select = connection.prepare(`
    SELECT vkey, started_at, said_at, state, message, verified_seq FROM auditor_words WHERE host = ?`)
  const found = select.get(host)
  return found === undefined ? null : toWord(wordRow.parse(found))
}

/** Returns whether it is new. */
export function raiseAlarm(connection: Connection, host: string, alarm: Omit<Alarm, 'acknowledged'>): boolean {
  requireHost(host)
  requireMessage(alarm)
  const { id, kind, atUs, fromSeq, toSeq, message } = alarm
  const insert = connection.prepare(`
    INSERT INTO audit_alarms (id, host, kind, at, from_seq, to_seq, message) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING`)
  return connection.write(() => insert.run(id, host, kind, atUs, fromSeq, toSeq, message)).changes === 1
}

export function listAlarms(
  connection: Connection,
  host: string,
  { unacknowledged }: { readonly unacknowledged: boolean },
): readonly Alarm[] {
  const select = connection.prepare(`
    SELECT ${alarmColumns.join(', ')} FROM audit_alarms
    WHERE host = ? ${unacknowledged ? 'AND acknowledged_at IS NULL' : ''} ORDER BY at DESC, id DESC LIMIT ?`)
  return select.all(host, maxAlarms).map((found) => toAlarm(alarmRow.parse(found)))
}

export function acknowledgeAlarm(connection: Connection, host: string, id: string, by: string, atUs: number): boolean {
  requireText(by, 'who acknowledges the alarm')
  const update = connection.prepare(`
    UPDATE audit_alarms SET acknowledged_by = ?, acknowledged_at = ?
    WHERE id = ? AND host = ? AND acknowledged_at IS NULL`)
  return connection.write(() => update.run(by, atUs, id, host)).changes === 1
}

export function listSinks(connection: Connection, host: string): readonly SinkProgress[] {
  const select = connection.prepare(`
    SELECT sink, auditor_cursors.seq AS seq, moved_at, count(auditor_parked.seq) AS parked,
      min(auditor_parked.seq) AS first_parked
    FROM auditor_cursors LEFT JOIN auditor_parked USING (host, sink)
    WHERE host = ? GROUP BY sink, auditor_cursors.seq, moved_at ORDER BY sink`)
  return select.all(host).map((found) => toSink(sinkRow.parse(found)))
}

export function parkEntries(
  connection: Connection,
  host: string,
  sink: string,
  entries: readonly { readonly seq: number; readonly reason: string }[],
  seq: number,
  atUs: number,
): void {
  requireHost(host)
  requireSink(sink)
  for (const { reason } of entries) requireParked(reason)
  const insert = connection.prepare(`
    INSERT INTO auditor_parked (host, sink, seq, reason, attempts, parked_at, tried_at) VALUES (?, ?, ?, ?, 1, ?, ?)
    ON CONFLICT (host, sink, seq) DO NOTHING`)
  connection.write(() => {
    for (const entry of entries) insert.run(host, sink, entry.seq, entry.reason, atUs, atUs)
    advanceCursor(connection, host, sink, seq, atUs)
  })
}

export function listParked(
  connection: Connection,
  host: string,
  { sink, afterSeq, limit }: { readonly sink: string | null; readonly afterSeq: number; readonly limit: number },
): readonly ParkedEntry[] {
  const following = `FROM auditor_parked WHERE host = ? ${sink === null ? '' : 'AND sink = ?'} AND seq > ?`
  const values = [host, ...(sink === null ? [] : [sink]), afterSeq]
  // All sinks that parked the last of these, since the next page is after it.
  const select = connection.prepare(`
    SELECT sink, seq, reason, attempts, parked_at, tried_at ${following}
    AND seq <= (SELECT max(seq) FROM (SELECT seq ${following} ORDER BY seq LIMIT ?)) ORDER BY seq, sink`)
  return select.all(...values, ...values, limit).map((found) => toParked(parkedRow.parse(found)))
}

export function unparkEntry(connection: Connection, host: string, sink: string, seq: number): void {
  const remove = connection.prepare('DELETE FROM auditor_parked WHERE host = ? AND sink = ? AND seq = ?')
  connection.write(() => remove.run(host, sink, seq))
}

export function noteAttempt(
  connection: Connection,
  host: string,
  sink: string,
  seq: number,
  reason: string,
  atUs: number,
): void {
  requireParked(reason)
  const update = connection.prepare(`
    UPDATE auditor_parked SET attempts = attempts + 1, reason = ?, tried_at = ? WHERE host = ? AND sink = ? AND seq = ?`)
  connection.write(() => update.run(reason, atUs, host, sink, seq))
}
