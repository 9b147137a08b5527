// The effective configuration of a service: environment > secrets > system > defaults, each value with where it comes from.
// All of it or none: whatever is wrong is thrown at once, each with its place.

import { hostname } from 'node:os'
import type { GrantedRole, People } from '@teleclaude/core/people.ts'
import type { z } from 'zod'
import { databaseUrlSchema, transportProblems } from './database-url.ts'
import {
  auditNotice,
  commandExpiryMinutes,
  auditPolicy as defaultAuditPolicy,
  limits as defaultLimits,
  logLevel as defaultLogLevel,
} from './defaults.ts'
import { type ConfigSources, Layers, type Loaded } from './layers.ts'
import type { LogLevel } from './log-level.ts'
import { auditKeys } from './schema/audit.ts'
import { absolutePath } from './schema/paths.ts'
import { limitKeys, retentionKeys, sessionKeys, sessionLimitKeys, systemSchema } from './schema/system.ts'
import { Secret } from './secret.ts'
import { passOverSinks, readSinks, type SinkConfig, unconfirmedSinks } from './sinks.ts'

type Common = { readonly host: string; readonly logLevel: LogLevel }
/** What services need that know nobody. */
export type Deployment = Common & {
  /** As libpq reads it. */
  readonly databaseUrl: Secret
  readonly auditDirectory: string | null
  /** None where they were not asked for. */
  readonly sinks: readonly SinkConfig[]
}
/** What one user may have of the service. */
export type UsageLimits = {
  /** Open at the same time, by uid. */
  readonly connections: number
  readonly requestsPerSecond: number
  /** WebSockets and streamed answers that are open at the same time, by uid. */
  readonly streams: number
  /** Live at the same time, by person. */
  readonly sessions: Readonly<Record<GrantedRole, number>>
}
/** How long things last; null where they last for ever. */
export type Lifetimes = {
  readonly maxIdleHours: number | null
  readonly maxAgeHours: number | null
  readonly commandExpiryMinutes: number
  readonly transcriptsDays: number | null
}
/** What is asked of the audit log before somebody else's content is shown. */
export type AuditPolicy = {
  readonly require: 'committed' | 'cosigned'
  readonly onAlarm: 'warn' | 'refuse'
  /** The only one with which an auditor's signatures count; null: the one that the database names. */
  readonly auditorKey: string | null
}
export type SystemConfig = Common & {
  readonly auditPolicy: AuditPolicy
  /** Names of those of which nobody can tell whether they have got what was sent to them. */
  readonly unconfirmedSinks: readonly string[]
  readonly databaseUrl: Secret
  readonly lifetimes: Lifetimes
  /** Shown at the start of every session, before anything is recorded. */
  readonly notice: string
  readonly people: People
  /** Who is an admin without being among the people, by uid. */
  readonly adminUid: number | null
  readonly limits: UsageLimits
}
export type SingleUserConfig = Common & {
  readonly auditPolicy: AuditPolicy
  readonly unconfirmedSinks: readonly string[]
  /** Null: SQLite. */
  readonly databaseUrl: Secret | null
  readonly lifetimes: Lifetimes
  readonly notice: string
}

/** @throws ConfigError */
export function loadSystemConfig(sources: ConfigSources): Loaded<SystemConfig> {
  const layers = new Layers('system', sources)
  const common = readCommon(layers)
  const notice = readNotice(layers)
  const adminUid = layers.pick('admin_uid', uid, null, toNumber)
  const people = readPeople(layers)
  const limits = readLimits(layers)
  const lifetimes = readLifetimes(layers)
  const auditPolicy = readAuditPolicy(layers)
  passOverSinks(layers)
  const databaseUrl = layers.require('database.url', readDatabaseUrl(layers))
  return layers.finish({
    ...common,
    notice,
    databaseUrl,
    adminUid,
    people,
    limits,
    lifetimes,
    auditPolicy,
    unconfirmedSinks: unconfirmedSinks(layers),
  })
}

/** @throws ConfigError */
export function loadSingleUserConfig(sources: ConfigSources): Loaded<SingleUserConfig> {
  const layers = new Layers('single-user', sources)
  const common = readCommon(layers)
  const lifetimes = readLifetimes(layers)
  return layers.finish({
    ...common,
    lifetimes,
    // The one user has no auditor, and nobody else's content.
    auditPolicy: defaultAuditPolicy,
    unconfirmedSinks: [],
    notice: readNotice(layers),
    databaseUrl: readDatabaseUrl(layers),
  })
}

/** @param withSinks for the auditor; nobody else has to be able to read their secrets.
 *  For the migrator and the auditor, who know nobody: what is wrong with the people is the api's to say. A file that can't be
 *  understood at all counts only where nothing that comes before it says what is needed.
 *  @throws ConfigError */
export function loadDeployment(
  sources: ConfigSources,
  { withSinks = false }: { readonly withSinks?: boolean } = {},
): Loaded<Deployment> {
  const layers = new Layers('system', sources, {
    need: ['host', 'database.url'],
    group: withSinks ? 'audit' : null,
  })
  const common = readCommon(layers)
  const auditDirectory = layers.pick('audit.directory', absolutePath, null)
  const sinks = withSinks ? readSinks(layers) : []
  const databaseUrl = layers.require('database.url', readDatabaseUrl(layers))
  return layers.finish({ ...common, databaseUrl, auditDirectory, sinks })
}

/** What can be no number stays what it is, and is refused as such. */
const toNumber = (text: string) => (/^(0|[1-9]\d{0,9})$/.test(text) ? Number(text) : text)
const uid = systemSchema.shape.admin_uid.unwrap()

function readCommon(layers: Layers): Common {
  const host = layers.pick('host', systemSchema.shape.host.unwrap(), hostname())
  const logLevel = layers.pick('log_level', systemSchema.shape.log_level.unwrap(), defaultLogLevel)
  return { host, logLevel }
}

function readNotice(layers: Layers): string {
  return layers.pick('notice', systemSchema.shape.notice.unwrap(), auditNotice)
}

/** A secret also where it holds no password: it never has to be told whether it does. */
function readDatabaseUrl(layers: Layers): Secret | null {
  const schema =
    layers.mode === 'system'
      ? databaseUrlSchema.superRefine((url, context) => {
          for (const message of transportProblems(url)) context.addIssue({ code: 'custom', message })
        })
      : databaseUrlSchema
  const url = layers.pick('database.url', schema, null)
  return url === null ? null : new Secret(url)
}

function readPeople(layers: Layers): People {
  const parsed = systemSchema.safeParse(layers.file.yaml.value ?? {}).data
  if (parsed === undefined) return { people: [], groups: [], accounts: null }
  for (const [index, { name, ...rest }] of parsed.people.entries())
    layers.note(`people.${name}`, rest, ['people', index])
  for (const [index, { gid, role }] of parsed.groups.entries())
    layers.note(`groups.${gid}`, { role }, ['groups', index])
  if (parsed.accounts) layers.note('accounts', parsed.accounts, ['accounts'])
  return {
    people: parsed.people.map(({ name, role, os_username, os_uid }) => ({
      name,
      role,
      osUsernames: os_username ?? [],
      osUids: os_uid ?? [],
      rule: `people.${name}`,
    })),
    groups: parsed.groups,
    accounts: toAccountsRule(parsed.accounts ?? null),
  }
}

function toAccountsRule(written: z.output<typeof systemSchema>['accounts'] | null): People['accounts'] {
  return written ? { role: written.role, minUid: written.min_uid, maxUid: written.max_uid } : null
}

function readLifetimes(layers: Layers): Lifetimes {
  return {
    maxIdleHours: layers.pick('sessions.max_idle_hours', sessionKeys.max_idle_hours.unwrap(), null),
    maxAgeHours: layers.pick('sessions.max_age_hours', sessionKeys.max_age_hours.unwrap(), null),
    commandExpiryMinutes: layers.pick(
      'sessions.command_expiry_minutes',
      sessionKeys.command_expiry_minutes.unwrap(),
      commandExpiryMinutes,
    ),
    transcriptsDays: layers.pick('retention.transcripts_days', retentionKeys.transcripts_days.unwrap(), null),
  }
}

function readAuditPolicy(layers: Layers): AuditPolicy {
  return {
    require: layers.pick('audit.require', auditKeys.require.unwrap(), defaultAuditPolicy.require),
    onAlarm: layers.pick('audit.on_alarm', auditKeys.on_alarm.unwrap(), defaultAuditPolicy.onAlarm),
    auditorKey: layers.pick('audit.auditor_key', auditKeys.auditor_key.unwrap(), defaultAuditPolicy.auditorKey),
  }
}

function readLimits(layers: Layers): UsageLimits {
  const sessions = (role: GrantedRole) =>
    layers.pick(`limits.sessions.${role}`, sessionLimitKeys[role].unwrap(), defaultLimits.sessions[role])
  return {
    connections: layers.pick('limits.connections', limitKeys.connections.unwrap(), defaultLimits.connections),
    requestsPerSecond: layers.pick(
      'limits.requests_per_second',
      limitKeys.requests_per_second.unwrap(),
      defaultLimits.requestsPerSecond,
    ),
    streams: layers.pick('limits.streams', limitKeys.streams.unwrap(), defaultLimits.streams),
    sessions: {
      newcomer: sessions('newcomer'),
      contributor: sessions('contributor'),
      member: sessions('member'),
      admin: sessions('admin'),
    },
  }
}
