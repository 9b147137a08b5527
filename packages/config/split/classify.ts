// What an original's keys mean here: which become keys of ours, whose the others are, and what is a secret.

import { z } from 'zod'
import { hasPassword } from '../database-url.ts'
import { isSecretKey, isSecretValue } from '../schema/looks-secret.ts'
import { personalKeys, singleUserSchema } from '../schema/personal.ts'
import { deploymentKeys } from '../schema/system.ts'
import type { KeyPath } from '../yaml.ts'
import { type Group, leavesOf } from './nodes.ts'

export const sourceNames = ['environment', 'config', 'people'] as const
/** Which of the files that are split: .env, config.yml, teleclaude.yml. */
export type SourceName = (typeof sourceNames)[number]

/** Of the original TeleClaude, or our own of single-user mode. */
export type Kind = 'original' | 'single-user'

export const layers = ['config', 'secrets', 'personal'] as const
export type Layer = (typeof layers)[number]
/** Of what is not secret. */
export type OpenLayer = Exclude<Layer, 'secrets'>

/** A key of an original that is one of ours. */
export type Known = {
  readonly source: SourceName
  readonly path: readonly [string, ...string[]]
  readonly layer: OpenLayer
  readonly to: readonly [string, ...string[]]
  readonly schema: z.ZodType
  /** From what was written to what we call it. */
  readonly translate?: (text: string) => string
}

const host = { layer: 'config', to: ['host'], schema: deploymentKeys.host } as const
const logLevel = { layer: 'config', to: ['log_level'], schema: deploymentKeys.log_level } as const
const databaseUrl = {
  layer: 'config',
  to: ['database', 'url'],
  schema: deploymentKeys.database.unwrap().unwrap().shape.url,
} as const
const agent = { layer: 'personal', to: ['agent'], schema: personalKeys.agent } as const

function ownKeys(layer: OpenLayer, keys: Readonly<Record<string, z.ZodType>>): readonly Known[] {
  return Object.entries(keys).map(([key, schema]) => ({ source: 'config', path: [key], layer, to: [key], schema }))
}

/** Of two that become the same key the first counts, as it did for whoever read them. */
const known: Readonly<Record<Kind, readonly Known[]>> = {
  original: [
    { source: 'environment', path: ['TELECLAUDE_HOST'], ...host },
    { source: 'environment', path: ['TELECLAUDE_LOG_LEVEL'], ...logLevel, translate: translateLogLevel },
    { source: 'environment', path: ['TELECLAUDE_AGENT'], ...agent },
    { source: 'config', path: ['computer', 'name'], ...host },
    {
      source: 'config',
      path: ['agents', 'default'],
      ...agent,
      schema: z
        .unknown()
        .refine((name) => name !== 'auto', 'leaves the choice to the original')
        .pipe(personalKeys.agent),
    },
  ],
  'single-user': [
    { source: 'environment', path: ['TELECLAUDE_HOST'], ...host },
    { source: 'environment', path: ['TELECLAUDE_LOG_LEVEL'], ...logLevel },
    { source: 'environment', path: ['DATABASE_URL'], ...databaseUrl },
    { source: 'environment', path: ['TELECLAUDE_AGENT'], ...agent },
    ...ownKeys('config', deploymentKeys),
    ...ownKeys('personal', personalKeys),
  ],
}

export function knownKeys(kind: Kind, source: SourceName, name: string): readonly Known[] {
  return known[kind].filter((key) => key.source === source && key.path[0] === name)
}

/** Python's names. */
function translateLogLevel(written: string): string {
  const level = written.trim().toLowerCase()
  const names: Readonly<Record<string, string>> = { warning: 'warn', critical: 'fatal' }
  return names[level] ?? level
}

/** Top-level keys that say how one person likes it, not how the machine is set up. */
const tastes: Readonly<Record<SourceName, readonly string[]>> = {
  environment: [],
  config: ['tts', 'stt', 'chiptunes', 'ui'],
  people: ['interests', 'subscriptions'],
}

/** The layer of a key that is not one of ours, or can't be. */
export function legacyLayer(kind: Kind, source: SourceName, name: string): OpenLayer {
  const isTaste = tastes[source].includes(name) || (kind === 'single-user' && Object.hasOwn(personalKeys, name))
  return isTaste ? 'personal' : 'config'
}

/** Beside which our own would be there by chance. */
const originalKeys = ['computer', 'telegram', 'discord', 'whatsapp', 'redis', 'stt', 'tts', 'chiptunes', 'mcp']
const ownOnly = Object.keys(singleUserSchema.shape).filter((key) => !['agents', 'database', 'legacy'].includes(key))

/** Both have `agents` and `database`, with other keys in them. */
export function kindOfOriginal(root: Group): Kind {
  const names = root.items.map(({ key }) => key.value)
  if (names.some((name) => originalKeys.includes(name))) return 'original'
  if (names.some((name) => ownOnly.includes(name))) return 'single-user'
  const paths = [...leavesOf(root, [])].map(({ path }) => path)
  const isOwn = paths.some(([first, second, third]) =>
    first === 'agents' ? third === 'modes' : first === 'database' && second === 'url',
  )
  return isOwn ? 'single-user' : 'original'
}

/** Of the environment, where a key of an API, say, is called KEY and nothing else is. */
export function isSecretVariable(name: string, value: string): boolean {
  return isSecretNamed(name, value) || /^TELECLAUDE_SECRET_|_(KEY|PASS|PWD|PAT|DSN)$/i.test(name)
}

/** A number of tokens is how many there may be. */
export function isSecretNamed(name: PropertyKey, value: string): boolean {
  return isSecretKey(String(name)) && !(/tokens$/i.test(String(name)) && /^\d[\d_]*$/.test(value))
}

/** Beside what every configuration is looked through for: addresses that whoever knows them can post to. */
export function isSecretText(text: string): boolean {
  if (isSecretValue(text)) return true
  if (/\bdiscord(app)?\.com\/api\/webhooks\/\d|\bhooks\.slack\.com\/(services|workflows|triggers)\/\w/i.test(text))
    return true
  return /^postgres(ql)?:\/\//i.test(text) && hasPassword(text)
}

/** A name of 64 characters or less, and the beginning of what is behind it: for a time that does not grow with the square. */
const assignment = /(?<![\w-])([\w-]{1,64})["']?\s{0,8}[:=]\s{0,8}(?=(\S.{0,99}))/g
const lineStart = /^(\s|-|\{|["']|export\s)*$/
const oneWord = /^\S+(\s*[,}#].*)?$/
const notASecret = /^(["']?\$\{\w+\}["']?|<.*>|null|~|["']{2}|\{ *secret: .*)(\s|$)/

/** Of a line of a comment: also `token: ...`, which somebody has put aside. */
export function isSecretComment(line: string): boolean {
  if (isSecretText(line)) return true
  return [...line.matchAll(assignment)].some(({ index, 1: name = '', 2: value = '' }) => {
    // Behind other words, more than one is how a sentence goes on.
    const isAssignment = (index < 32 && lineStart.test(line.slice(0, index))) || oneWord.test(value)
    return isAssignment && isSecretNamed(name, value) && !notASecret.test(value)
  })
}

/** The last name on the way to a value: that of the list, for what is in one. */
export function ownName(path: KeyPath): PropertyKey {
  return path.findLast((step) => typeof step !== 'number') ?? ''
}

export function isOneWithin(one: KeyPath, other: KeyPath): boolean {
  return one.slice(0, other.length).every((step, index) => step === other[index])
}
