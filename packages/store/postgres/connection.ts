// How PostgreSQL is reached: one reading of the URL for pg and slonik alike, explicit types both ways, and what errors mean.

import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { formatInstant } from '@teleclaude/core/instant.ts'
import pg from 'pg'
import {
  BackendTerminatedError,
  BackendTerminatedUnexpectedlyError,
  ConnectionError,
  createPool,
  type DatabasePool,
  type DriverTypeParser,
  IdleTransactionTimeoutError,
  type Interceptor,
  SchemaValidationError,
  sql,
} from 'slonik'
import { StoreError } from '../contract.ts'

const connectTimeoutMs = 5000
const statementTimeoutMs = 30_000
const maxConnections = 10

/** A server and database, as pg reads the URL (and PGHOST, PGUSER, ... for what it leaves out). */
export type Server = {
  /** For messages: without the password. */
  readonly where: string
  readonly host: string
  readonly port: number
  readonly user: string | undefined
  readonly database: string | undefined
  readonly password: string | undefined
  readonly ssl: boolean | TlsOptions
  /** `-c name=value ...` of the URL. */
  readonly options: string | undefined
}

/** @throws StoreError 'unavailable' for what is no URL, or names files that can't be read. The URL may hold a password:
 *  neither the message nor the cause repeats it. */
export function parseServer(url: string): Server {
  try {
    const { host, port, user, database, password, ssl } = new pg.Client({ connectionString: url })
    // pg hides `options` from its Client. An empty host before the path (user@/database) is no URL to the parser of the web.
    const options = new URL(url.replace('@/', '@localhost/')).searchParams.get('options') ?? undefined
    const at = host.startsWith('/') ? `/${database ?? ''}?host=${host}` : `${host}:${port}/${database ?? ''}`
    const where = `the database postgresql://${user ?? ''}@${at}`
    return { where, host, port, user, database, password, ssl, options }
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : 'it is not a URL'
    throw new StoreError(
      'unavailable',
      `cannot use the database's URL: ${why}; it should read postgresql://user@host/database`,
    )
  }
}

/** A connection of its own, for what a pool can't do: locks, migrations.
 *  @throws StoreError 'unavailable' */
export async function connectClient(server: Server, applicationName: string): Promise<pg.Client> {
  const { host, port, user, database, password, ssl, options } = server
  const client = new pg.Client({
    host,
    port,
    user,
    database,
    password,
    ssl,
    options,
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  })
  client.on('error', () => {
    // An idle connection broke: the next query reports it, and the instance's lock listens for itself.
  })
  try {
    await client.connect()
  } catch (error) {
    throw translateClientError(error, server.where)
  }
  return client
}

function parseSafeInteger(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value))
    throw new RangeError(`cannot read the integer ${text}: it is beyond what a number holds exactly`)
  return value
}

const instantForm = /^(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?([+-])(\d\d)(?::(\d\d))?(?::(\d\d))?$/

/** Microseconds of a timestamptz as `DateStyle` ISO writes it, by integers alone; any other form is refused. */
export function parseInstant(text: string): number {
  const match = instantForm.exec(text)
  if (match === null)
    throw new RangeError(`cannot read the time ${text}: it is not in ISO form (is DateStyle another one?)`)
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number)
  const [micros, sign, ...offset] = match.slice(7)
  const seconds = Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second) / 1000
  const [offsetHours = 0, offsetMinutes = 0, offsetSeconds = 0] = offset.map((part) => Number(part ?? 0))
  const offsetTotal = (offsetHours * 60 + offsetMinutes) * 60 + offsetSeconds
  const utcSeconds = seconds - (sign === '-' ? -offsetTotal : offsetTotal)
  return parseSafeInteger(String(utcSeconds * 1_000_000 + Number((micros ?? '').padEnd(6, '0'))))
}

function parseBytes(text: string): Buffer {
  if (!text.startsWith(String.raw`\x`))
    throw new RangeError('cannot read bytes: they are not in hex form (is bytea_output another one?)')
  return Buffer.from(text.slice(2), 'hex')
}

/** Every type that our queries return: nothing is left to a driver's default. */
const typeParsers: readonly DriverTypeParser[] = [
  { name: 'int4', parse: parseSafeInteger },
  { name: 'int8', parse: parseSafeInteger },
  { name: 'bool', parse: (text) => text === 't' },
  { name: 'text', parse: (text) => text },
  { name: 'uuid', parse: (text) => text },
  { name: 'bytea', parse: parseBytes },
  { name: 'timestamptz', parse: parseInstant },
]

/** Checks every row against its query's schema, and returns what the schema makes of it. */
const parseRows: Interceptor = {
  name: 'parse-rows',
  transformRow: ({ resultParser }, query, row) => {
    if (resultParser === undefined) throw new TypeError('cannot read a row: its query has no schema')
    const result = resultParser['~standard'].validate(row)
    if (result instanceof Promise) throw new TypeError('cannot read a row: its schema is asynchronous')
    if (result.issues !== undefined) throw new SchemaValidationError(query, row, result.issues)
    // Slonik types rows by what PostgreSQL returns; callers see the schema's output type.
    return result.value as typeof row
  },
}

/** @throws StoreError 'unavailable' */
export async function openPool(server: Server): Promise<DatabasePool> {
  const { host, port, user, database, password, ssl, options } = server
  const path = `${encodeURIComponent(host)}:${port}/${encodeURIComponent(database ?? '')}`
  const query = new URLSearchParams({ application_name: 'teleclaude', ...(options !== undefined && { options }) })
  const tls = typeof ssl === 'object' ? ssl : ssl ? {} : undefined
  try {
    const pool = await createPool(`postgresql://${encodeURIComponent(user ?? '')}@${path}?${query}`, {
      ...(password !== undefined && { password }),
      ...(tls !== undefined && { ssl: tls }),
      captureStackTrace: false,
      connectionRetryLimit: 1,
      connectionTimeout: connectTimeoutMs,
      idleInTransactionSessionTimeout: statementTimeoutMs,
      idleTimeout: 60_000,
      interceptors: [parseRows],
      maxPoolSize: maxConnections,
      resetConnection: async () => {
        // Our queries leave no state behind in a connection; slonik closes one whose transaction failed.
      },
      statementTimeout: statementTimeoutMs,
      typeParsers,
    })
    pool.on('error', () => {
      // An idle connection broke: slonik has dropped it, and the next query opens another one or reports why not.
    })
    return pool
  } catch (error) {
    throw translateClientError(error, server.where)
  }
}

export function timeValue(us: number) {
  return sql.fragment`${formatInstant(us)}::timestamptz`
}

/** Nothing is before or after null. */
export function nullableTimeValue(us: number | null) {
  return us === null ? sql.fragment`NULL::timestamptz` : timeValue(us)
}

/** Class 08 connection, 53 resources, 57 operator intervention (timeouts, shutdown, start-up), 58 system; and single codes:
 *  roles and databases that do not let us in, locks not to be had (PostgreSQL manual, appendix A). */
const unavailableStates = /^(08|28|40|53|57|58)|^(25P03|3D000|55P03)$/
const notWritableStates = ['53100', '25006', '42501']

/** The contract's error for one of slonik; any other error as it is. */
export function translateError(error: unknown, where: string): unknown {
  if (error instanceof StoreError) return error
  const chain = [...causesOf(error)]
  const database = chain.find((cause) => cause instanceof pg.DatabaseError)
  if (database !== undefined) return translateState(database, error, where)
  const isOfConnection = chain.some(
    (cause) => 'syscall' in cause || connectionErrors.some((type) => cause instanceof type),
  )
  return isOfConnection ? unreachable(error, chain, where) : error
}

/** The same for a plain client: what is not the server's own word is of the way to it. */
export function translateClientError(error: unknown, where: string): unknown {
  if (error instanceof StoreError) return error
  if (error instanceof pg.DatabaseError) return translateState(error, error, where)
  return unreachable(error, [...causesOf(error)], where)
}

/** Besides these, what Node itself says of a socket names a system call. */
const connectionErrors = [
  BackendTerminatedError,
  BackendTerminatedUnexpectedlyError,
  ConnectionError,
  IdleTransactionTimeoutError,
]

function translateState(database: pg.DatabaseError, error: unknown, where: string): unknown {
  const state = database.code ?? ''
  const why = `${database.message} (SQLSTATE ${state})`
  if (notWritableStates.includes(state)) {
    return new StoreError('not-writable', `cannot write ${where}: ${why}; check its room and what the role may do`, {
      cause: error,
    })
  }
  if (!unavailableStates.test(state)) return error
  return new StoreError('unavailable', `cannot reach ${where}: ${why}; try again`, { cause: error })
}

function unreachable(error: unknown, chain: readonly Error[], where: string): StoreError {
  // The error of several addresses tried in vain has a code and no message.
  const why = chain
    .map((cause) => cause.message || ('code' in cause ? String(cause.code) : ''))
    .findLast((text) => text !== '')
  return new StoreError(
    'unavailable',
    `cannot reach ${where}: ${why ?? 'the connection broke'}; check that the server runs`,
    { cause: error },
  )
}

function* causesOf(error: unknown): Generator<Error> {
  for (let cause = error; cause instanceof Error; cause = cause.cause) yield cause
}
