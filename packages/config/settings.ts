// What the environment says about a deployment, checked as a whole before anything starts.

import { hostname } from 'node:os'
import { z } from 'zod'
import { ConfigError } from './config-error.ts'
import * as defaults from './defaults.ts'

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

export type LogLevel = (typeof logLevels)[number]

export type Settings = {
  readonly logLevel: LogLevel
  /** Under which this machine's sessions, locks and audit log are kept: the same at every start. */
  readonly host: string
  /** As libpq reads it. Holds a password: never print it but through `withoutPassword`. Null: SQLite. */
  readonly databaseUrl: string | null
}

export const mends = {
  TELECLAUDE_LOG_LEVEL: `set it to one of ${logLevels.join(', ')}, or unset it for ${defaults.logLevel}`,
  TELECLAUDE_HOST: 'set it to a name such as build-1, or unset it for the name of this machine',
  DATABASE_URL:
    'set it to postgresql://USER@HOST:PORT/DATABASE (or ?host=/run/postgresql for a socket), or unset it for SQLite',
} as const

export const logLevelSchema = z.enum(logLevels, 'is no log level').default(defaults.logLevel)
export const hostSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/,
    'is no host name (letters, digits, dots, dashes and underscores)',
  )
  .default(hostname)
export const databaseUrlSchema = z
  .string('is not set')
  .refine((url) => /^postgres(ql)?:\/\//i.test(url), { error: 'does not start with postgresql://', abort: true })
  .refine((url) => parseDatabaseUrl(url) !== null, {
    error: 'is no URL that can be read (special characters in a password are written as %XX)',
    abort: true,
  })

const schema = z.object({
  TELECLAUDE_LOG_LEVEL: logLevelSchema,
  TELECLAUDE_HOST: hostSchema,
  DATABASE_URL: databaseUrlSchema.nullable().default(null),
})

/** An empty variable is one that is not set.
 *  @throws ConfigError naming every variable that is wrong */
export function readSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const variables = Object.keys(schema.shape) as (keyof typeof mends)[]
  const parsed = schema.safeParse(
    Object.fromEntries(variables.map((variable) => [variable, env[variable] || undefined])),
  )
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path: [name], message }) => {
      const variable = variables.find((candidate) => candidate === name)
      return { variable: String(name), problem: message, mend: variable === undefined ? 'unset it' : mends[variable] }
    })
    throw new ConfigError(faults)
  }
  const { TELECLAUDE_LOG_LEVEL: logLevel, TELECLAUDE_HOST: host, DATABASE_URL: databaseUrl } = parsed.data
  return { logLevel, host, databaseUrl }
}

/** A database's URL for people to read. */
export function withoutPassword(databaseUrl: string): string {
  const url = parseDatabaseUrl(databaseUrl)
  if (url === null) return 'postgresql://...'
  if (url.password !== '') url.password = '***'
  // libpq takes every connection parameter in the query, too.
  for (const name of url.searchParams.keys()) if (/pass/i.test(name)) url.searchParams.set(name, '***')
  return url.href.replace(`@${hostStandIn}`, '@')
}

const hostStandIn = 'host-is-in-the-query'

/** `postgresql://user@/db?host=/run/postgresql` has a user and no host, which libpq takes and the URL standard does not. */
export function parseDatabaseUrl(text: string): URL | null {
  // A password with a raw slash in it would be read as a host, a port and a path, and be shown as such.
  const [, authority = '', rest = ''] = /^\w+:\/\/([^/?#]*)(.*)$/s.exec(text) ?? []
  if (rest.includes('@')) return null
  return URL.parse(text) ?? (authority.endsWith('@') ? URL.parse(text.replace('@', `@${hostStandIn}`)) : null)
}
