// What the deployment says to a service in system mode: the environment, then the file .env beside the configuration, then
// defaults. Values may be secrets: no message repeats one.

import { accessSync, constants, readFileSync } from 'node:fs'
import { parse } from 'dotenv'
import { z } from 'zod'
import { ConfigError, type ConfigFault } from './config-error.ts'
import { systemLayout } from './layout.ts'
import { databaseUrlSchema, hostSchema, type LogLevel, logLevelSchema, mends, parseDatabaseUrl } from './settings.ts'

export type ServiceSettings = {
  readonly logLevel: LogLevel
  readonly host: string
  /** As libpq reads it. Holds a password: never print it but through `withoutPassword`. */
  readonly databaseUrl: string
  /** Who is an admin without being in the configuration, by uid. */
  readonly adminUid: number | null
}

/** The greatest uid that can be somebody's: -1 is nobody's (setreuid(2)). */
export const maxUid = 0xffff_fffe

const schema = z.object({
  TELECLAUDE_LOG_LEVEL: logLevelSchema,
  TELECLAUDE_HOST: hostSchema,
  DATABASE_URL: databaseUrlSchema.superRefine((url, context) => {
    for (const message of transportProblems(url)) context.addIssue({ code: 'custom', message })
  }),
  TELECLAUDE_ADMIN_UID: z
    .string()
    .regex(/^(0|[1-9]\d{0,9})$/, { error: 'is no uid', abort: true })
    .transform(Number)
    .refine((uid) => uid <= maxUid, 'is no uid')
    .nullable()
    .default(null),
})
type Name = keyof typeof schema.shape
const names = [
  'TELECLAUDE_LOG_LEVEL',
  'TELECLAUDE_HOST',
  'DATABASE_URL',
  'TELECLAUDE_ADMIN_UID',
] as const satisfies Name[]
/** Those whose `NAME_FILE` may name a file that holds the value. */
const fromFiles: readonly Name[] = ['DATABASE_URL', 'TELECLAUDE_HOST']

const serviceMends: Readonly<Record<Name, string>> = {
  ...mends,
  DATABASE_URL:
    'set it, or the file that DATABASE_URL_FILE names, to postgresql://USER@/DATABASE?host=/run/teleclaude/postgres, ' +
    'or to postgresql://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full',
  TELECLAUDE_ADMIN_UID: 'set it to the number that `id -u` says, or unset it',
}

type Variables = Readonly<Record<string, string | undefined>>

/** An empty variable is one that is not set. `NAME` comes before `NAME_FILE`, wherever either is set.
 *  @throws ConfigError naming everything that is wrong */
export function readServiceSettings(
  env: Variables,
  { envFile = systemLayout(process.platform).envFile }: { readonly envFile?: string } = {},
): ServiceSettings {
  const faults: ConfigFault[] = []
  const fileVariables = readEnvFile(envFile, faults)
  const setting = (name: string) => env[name] || fileVariables[name] || undefined
  const values: Partial<Record<Name, string>> = {}
  for (const name of names) {
    const fileName = fromFiles.includes(name) && setting(name) === undefined ? setting(`${name}_FILE`) : undefined
    const value = fileName === undefined ? setting(name) : readValueFile(`${name}_FILE`, fileName, faults)
    if (value !== undefined) values[name] = value
  }
  const parsed = schema.safeParse(values)
  for (const { path, message } of parsed.error?.issues ?? []) {
    const variable = names.find((name) => name === path[0]) ?? 'DATABASE_URL'
    const isExplained = faults.some((fault) => 'variable' in fault && fault.variable === `${variable}_FILE`)
    if (!isExplained) faults.push({ variable, problem: message, mend: serviceMends[variable] })
  }
  if (!parsed.success || faults.length > 0) throw new ConfigError(faults)
  return {
    logLevel: parsed.data.TELECLAUDE_LOG_LEVEL,
    host: parsed.data.TELECLAUDE_HOST,
    databaseUrl: parsed.data.DATABASE_URL,
    adminUid: parsed.data.TELECLAUDE_ADMIN_UID,
  }
}

const assignment = /^(?:export\s+)?[\w.-]+\s*=\s*(?<value>.*)$/
/** A quote that begins a value and ends nowhere on its line. */
const openQuote = /^(?<quote>["'`])(?!.*\k<quote>)/

/** dotenv passes over what it can't read, which would be a setting that silently does not count. */
function readEnvFile(file: string, faults: ConfigFault[]): Variables {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return {}
    const mend = `let uid ${process.geteuid?.()} read it, or take it away`
    faults.push({ file, line: 1, column: 1, key: '', problem: `can't be read (${code})`, mend })
    return {}
  }
  for (const [index, written] of text.split(/\r?\n/).entries()) {
    const line = written.trim()
    if (line === '' || line.startsWith('#')) continue
    const value = assignment.exec(line)?.groups?.value
    const place = { file, line: index + 1, column: 1, key: '' }
    if (value === undefined) faults.push({ ...place, problem: 'is no assignment', mend: 'write NAME=value' })
    else if (openQuote.test(value))
      faults.push({ ...place, problem: 'has a quote that does not end', mend: 'end it on the same line' })
  }
  return parse(text)
}

function readValueFile(variable: string, file: string, faults: ConfigFault[]): string | undefined {
  try {
    const value = readFileSync(file, 'utf8').trim()
    if (value !== '') return value
    faults.push({ variable, problem: `names an empty file (${file})`, mend: 'write the value into it' })
  } catch (error) {
    const mend = `let uid ${process.geteuid?.()} read it, or name another`
    faults.push({ variable, problem: `names a file that can't be read (${file}: ${errorCode(error)})`, mend })
  }
  return undefined
}

/** Whoever stands between us and the database, or listens in its place while it is stopped, also on this machine, must
 *  neither read nor be told the password: a Unix socket's directory keeps them out, else a certificate does. pg's reading of
 *  `sslmode` (pg-connection-string 2.14): `no-verify` and `uselibpqcompat` with `require` or `prefer` verify nothing, none at all is
 *  plain text; `verify-full` verifies certificate and name; `require`, `prefer` and `verify-ca` do so, too, until its next major
 *  version, and are therefore not relied on. */
function transportProblems(databaseUrl: string): readonly string[] {
  const url = parseDatabaseUrl(databaseUrl)
  if (url === null) return []
  const hosts = url.searchParams.getAll('host').filter((host) => host !== '')
  if (hosts.length === 0 && !databaseUrl.includes('@/') && url.hostname !== '') hosts.push(url.hostname)
  if (hosts.length === 0) return ['names no server']
  if (hosts.every((host) => /^(\/|%2f)/i.test(host))) return []
  const modes = url.searchParams.getAll('sslmode')
  if (modes.length === 0 || modes.some((mode) => mode !== 'verify-full'))
    return ['goes over TCP without sslmode=verify-full, the one mode that is sure to verify who answers']
  return ['sslrootcert', 'sslcert', 'sslkey'].flatMap((name) =>
    url.searchParams.getAll(name).flatMap((file) => {
      try {
        accessSync(file, constants.R_OK)
        return []
      } catch (error) {
        return [`names a file as ${name} that uid ${process.geteuid?.()} can't read (${file}: ${errorCode(error)})`]
      }
    }),
  )
}

function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : error
}
