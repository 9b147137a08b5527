// The system's configuration, config.yml: who is who on this machine. Read strictly: what is not understood is never passed
// over, because what it was meant to forbid would be allowed. All that is wrong is said at once, each with its place.

import type { GrantedRole, People } from '@teleclaude/core/people.ts'
import { roles } from '@teleclaude/core/role.ts'
import { z } from 'zod'
import { ConfigError, type ConfigFault } from './config-error.ts'
import { auditNotice } from './defaults.ts'
import { readConfigFile } from './read-file.ts'
import { maxUid } from './service-settings.ts'
import { shellQuote } from './shell-quote.ts'
import { suggest } from './suggest.ts'
import { type KeyPath, parseYaml, type Yaml } from './yaml.ts'

export type SystemConfig = {
  readonly people: People
  /** Shown at the start of every session, before anything is recorded. */
  readonly notice: string
}

const grantedRoles = roles.filter((role): role is GrantedRole => role !== 'public')

/** What is said of a value: one that is not there is not a wrong one. */
const says = (problem: string) => ({
  error: ({ input }: { input?: unknown }) => (input === undefined ? 'is missing' : problem),
})

const id = z.int(says('is no whole number')).min(0, 'is below 0').max(maxUid, `is above ${maxUid}`)
const role = z.enum(grantedRoles, says('is no role'))
const personName = z
  .string(says('is not text'))
  .regex(
    /^[\p{L}\p{N}][\p{L}\p{N}\p{M} ._@+'-]{0,63}$/u,
    'is no name (1 to 64 letters, digits, and . _ @ + - between them)',
  )
  .refine((name) => !/ $|^uid-\d+$/.test(name), 'is no name for a person')
const osUsername = z.string(says('is not text')).regex(/^[^\s:\p{C}]{1,256}$/u, 'is no name of an account')
const oneOrMore = <Item extends z.ZodType>(item: Item) =>
  z.preprocess((value) => (Array.isArray(value) ? value : [value]), z.array(item).min(1, 'is empty')).optional()
const list = <Item extends z.ZodType>(item: Item) =>
  z
    .array(item, says('is no list'))
    .nullish()
    .transform((items) => items ?? [])
const personKeys = { name: personName, role, os_username: oneOrMore(osUsername), os_uid: oneOrMore(id) }
const personSchema = z
  .strictObject(personKeys, says('is no group of keys'))
  .refine((person) => person.os_username !== undefined || person.os_uid !== undefined, {
    path: ['os_username'],
    error: 'is missing, and os_uid is, too',
  })
const groupKeys = { gid: id, role }
const groupSchema = z.strictObject(groupKeys, says('is no group of keys'))
const accountsKeys = { role, min_uid: id.default(1000) }
const keys = {
  people: list(personSchema),
  groups: list(groupSchema),
  accounts: z.strictObject(accountsKeys, says('is no group of keys')).nullish(),
  notice: z
    .string(says('is not text'))
    .regex(/^(?=.*\S)[^\p{Cc}\p{Cs}]{1,1000}$/u, 'is no line of text (1 to 1000 characters)')
    .default(auditNotice),
}
const schema = z.strictObject(keys, says('is no group of keys'))
const knownKeys: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(keys),
  people: Object.keys(personKeys),
  groups: Object.keys(groupKeys),
  accounts: Object.keys(accountsKeys),
}

const mends: Readonly<Record<string, string>> = {
  people: 'write a list: each entry begins with "- name: NAME"',
  groups: 'write a list: each entry begins with "- gid: NUMBER"',
  accounts: 'write role and min_uid below it, or take it away',
  notice: 'write it in quotes, or take it away',
  name: 'write the name of one person, such as alice',
  role: `write one of ${grantedRoles.join(', ')}`,
  os_username: 'write what `id -un` says there, or a list of such names; one that is all digits goes in quotes',
  os_uid: 'write what `id -u` says there, or a list of such numbers',
  gid: 'write the number of a group: getent group NAME',
  min_uid: 'write a number, or take it away for 1000',
}

/** @throws ConfigError naming everything that is wrong. What is only unwise is in `warnings`. */
export function readSystemConfig(file: string): {
  readonly config: SystemConfig
  readonly warnings: readonly ConfigFault[]
} {
  const { text, stats } = readConfigFile(file)
  const yaml = parseYaml(file, text)
  const value = yaml.value ?? {}
  const parsed = schema.safeParse(value)
  const faults = [
    ...yaml.faults,
    ...(parsed.error?.issues ?? []).flatMap((issue) => explain(yaml, issue)),
    ...findClashes(yaml, value),
  ].sort(inOrder)
  if (!parsed.success || faults.length > 0) throw new ConfigError(faults)
  const { people, groups, accounts, notice } = parsed.data
  const config: SystemConfig = {
    people: {
      people: people.map(({ name, role, os_username, os_uid }) => ({
        name,
        role,
        osUsernames: os_username ?? [],
        osUids: os_uid ?? [],
      })),
      groups,
      accounts: accounts ? { role: accounts.role, minUid: accounts.min_uid } : null,
    },
    notice,
  }
  if ((stats.mode & 0o022) === 0) return { config, warnings: [] }
  const problem = `can be changed by others than its owner (mode ${(stats.mode & 0o7777).toString(8).padStart(4, '0')})`
  const mend = `close it: chmod go-w ${shellQuote(file)}`
  return { config, warnings: [{ file, line: 1, column: 1, key: '', problem, mend }] }
}

function inOrder(one: ConfigFault, other: ConfigFault): number {
  if (!('line' in one && 'line' in other)) return 0
  return one.line - other.line || one.column - other.column
}

function explain(yaml: Yaml, issue: z.core.$ZodIssue): readonly ConfigFault[] {
  if (issue.code !== 'unrecognized_keys') {
    const key = issue.path.findLast((step) => typeof step === 'string') ?? ''
    const mend = mends[key] ?? `write one or more of ${Object.keys(keys).join(', ')}, each with a colon behind it`
    return [{ ...yaml.place(issue.path), problem: issue.message, mend }]
  }
  const known = knownKeys[String(issue.path[0] ?? '')] ?? []
  return issue.keys.map((key) => {
    const meant = suggest(key, known)
    const mend = meant === null ? `there are ${known.join(', ')}` : `did you mean ${meant}?`
    return { ...yaml.placeOfKey(issue.path, key), problem: 'is no key that is known here', mend }
  })
}

const items = z.array(z.unknown()).catch([])
const looseSchema = z.looseObject({ people: items, groups: items }).catch({ people: [], groups: [] })

/** What two people, or two groups, both claim: whose it is would be a matter of their order. Looks at those that are right in
 *  themselves, so that this is said together with what is wrong with others. */
function findClashes(yaml: Yaml, value: unknown): readonly ConfigFault[] {
  const claims = new Map<string, string>()
  const faults: ConfigFault[] = []
  function claim(what: string, path: KeyPath): void {
    const place = yaml.place(path)
    const key = 'key' in place ? place.key : ''
    const before = claims.get(what)
    if (before === undefined) claims.set(what, key)
    else faults.push({ ...place, problem: `is the same as ${before}`, mend: 'keep one of them' })
  }
  const loose = looseSchema.parse(value)
  for (const [index, item] of loose.people.entries()) {
    const person = personSchema.safeParse(item).data
    if (person === undefined) continue
    claim(`name ${person.name}`, ['people', index, 'name'])
    for (const [at, name] of (person.os_username ?? []).entries())
      claim(`os_username ${name}`, ['people', index, 'os_username', at])
    for (const [at, uid] of (person.os_uid ?? []).entries()) claim(`os_uid ${uid}`, ['people', index, 'os_uid', at])
  }
  for (const [index, item] of loose.groups.entries()) {
    const gid = groupSchema.safeParse(item).data?.gid
    if (gid !== undefined) claim(`gid ${gid}`, ['groups', index, 'gid'])
  }
  return faults
}
