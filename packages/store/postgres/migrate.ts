// Applies migrations to a PostgreSQL database, one at a time, while holding a session lock that ends with its connection.

import { createHash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type pg from 'pg'
import { z } from 'zod'
import { StoreError } from '../contract.ts'
import {
  type AppliedMigration,
  compareMigrations,
  hasLedger,
  ledgerTable,
  type Migration,
  type OnProgress,
  requireApplicable,
} from '../migrations.ts'
import { connectClient, type Server, translateClientError } from './connection.ts'

/** A key for advisory locks, which know only numbers; they are per database. */
export function lockKey(subject: string): string {
  return String(createHash('sha256').update(`teleclaude ${subject}`).digest().readBigInt64BE(0))
}

/** Runs one query on a plain client and parses its rows. */
export async function queryClient<Row extends z.ZodType>(
  client: pg.Client,
  where: string,
  row: Row,
  text: string,
  values: readonly unknown[] = [],
): Promise<z.output<Row>[]> {
  try {
    const { rows } = await client.query(text, [...values])
    return z.array(row).parse(rows)
  } catch (error) {
    throw error instanceof z.ZodError ? error : translateClientError(error, where)
  }
}

const noRow = z.strictObject({})
const lockPollMs = 100

export async function usingClient<T>(server: Server, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connectClient(server, 'teleclaude migrations')
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

/** @throws StoreError 'not-a-database' */
export function readApplied(server: Server): Promise<readonly AppliedMigration[]> {
  return usingClient(server, (client) => readLedger(client, server.where))
}

const nameRow = z.strictObject({ name: z.string() })
const ledgerRow = z.strictObject({
  name: z.string(),
  checksum: z.string(),
  appliedAtUs: z.string().transform(Number).pipe(z.int()),
})

async function readLedger(client: pg.Client, where: string): Promise<readonly AppliedMigration[]> {
  // What an extension brought along says nothing about whose database this is.
  const tables = await queryClient(
    client,
    where,
    nameRow,
    `
    SELECT relname::text AS name FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
    ORDER BY relname`,
  )
  if (
    !hasLedger(
      tables.map((table) => table.name),
      where,
    )
  )
    return []
  return queryClient(
    client,
    where,
    ledgerRow,
    `
    SELECT name, checksum, floor(extract(epoch FROM applied_at) * 1000000)::bigint::text AS "appliedAtUs"
    FROM ${ledgerTable} ORDER BY name`,
  )
}

export function applyMigrations(
  server: Server,
  known: readonly Migration[],
  onProgress: OnProgress | undefined,
): Promise<readonly string[]> {
  return usingClient(server, async (client) => {
    requireApplicable(compareMigrations(known, await readLedger(client, server.where)), server.where)
    await lockMigrations(client, server.where)
    onProgress?.({ step: 'locked' })
    const state = compareMigrations(known, await readLedger(client, server.where))
    requireApplicable(state, server.where)
    await queryClient(
      client,
      server.where,
      noRow,
      `CREATE TABLE IF NOT EXISTS ${ledgerTable} (
      name text PRIMARY KEY,
      checksum text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now()
    )`,
    )
    for (const migration of known.filter(({ name }) => state.pending.includes(name))) {
      onProgress?.({ step: 'begun', name: migration.name })
      await apply(client, server.where, migration, onProgress)
      onProgress?.({ step: 'applied', name: migration.name })
    }
    return state.pending
  })
}

const lockedRow = z.strictObject({ locked: z.boolean() })

/** Asks again and again rather than waiting inside one query: whoever waits there holds a snapshot, and CREATE INDEX
 *  CONCURRENTLY, run by the lock's holder, waits for everybody who holds one. The lock ends with the connection. */
export async function lockMigrations(client: pg.Client, where: string): Promise<void> {
  for (;;) {
    const [row] = await queryClient(client, where, lockedRow, 'SELECT pg_try_advisory_lock($1) AS locked', [
      lockKey('migrations'),
    ])
    if (row?.locked === true) return
    await wait(lockPollMs)
  }
}

async function apply(
  client: pg.Client,
  where: string,
  migration: Migration,
  onProgress: OnProgress | undefined,
): Promise<void> {
  const { name, sql, checksum, transactional } = migration
  try {
    if (transactional) await client.query('BEGIN')
    else await dropInvalidIndexes(client, where)
    await client.query(sql)
    await client.query(`INSERT INTO ${ledgerTable} (name, checksum) VALUES ($1, $2)`, [name, checksum])
    onProgress?.({ step: 'ran', name })
    if (transactional) await client.query('COMMIT')
  } catch (cause) {
    // The connection ends after this, and with it what the transaction did.
    const translated = translateClientError(cause, where)
    if (translated instanceof StoreError) throw translated
    const why = cause instanceof Error ? cause.message : String(cause)
    const kept = transactional ? 'nothing of it was kept' : 'run the migrations again when that is mended'
    throw new StoreError('migration-failed', `cannot apply ${name} to ${where}: ${why}; ${kept}`, { cause })
  }
}

/** CREATE INDEX CONCURRENTLY leaves an invalid index behind where it was cut off, and IF NOT EXISTS would take it for done. */
async function dropInvalidIndexes(client: pg.Client, where: string): Promise<void> {
  const invalid = await queryClient(
    client,
    where,
    nameRow,
    `
    SELECT indexrelid::regclass::text AS name FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace`,
  )
  for (const { name } of invalid) await queryClient(client, where, noRow, `DROP INDEX CONCURRENTLY IF EXISTS ${name}`)
}
