// One file of configuration, read strictly: what is not understood is never passed over, because what it was meant to forbid
// would be allowed. All that is wrong is said at once, each with its place.

import type { Stats } from 'node:fs'
import { roles } from '@teleclaude/core/role.ts'
import { z } from 'zod'
import { ConfigError, type ConfigFault, inFileOrder } from './config-error.ts'
import type { Mode } from './layout.ts'
import { type ConfigFile, readConfigFile, readConfigFileIfThere } from './read-file.ts'
import { type FileSchema, findFaults } from './schema/explain.ts'
import { personalSchema, singleUserSchema } from './schema/personal.ts'
import { groupSchema, personSchema, systemKeyNames, systemSchema } from './schema/system.ts'
import { shellQuote } from './shell-quote.ts'
import { type KeyPath, parseYaml, type Yaml } from './yaml.ts'

export type ParsedFile = {
  readonly yaml: Yaml
  readonly faults: readonly ConfigFault[]
  readonly warnings: readonly ConfigFault[]
}

const personalOnlyKeys = Object.keys(personalSchema.shape)

/** Of one person, who is all there is: their preferences are in it, too. */
export const singleUserFile: FileSchema = {
  schema: singleUserSchema,
  explainKey: (key) =>
    systemKeyNames.includes(key)
      ? { problem: 'is for a service of the whole machine, and this one serves you alone', mend: 'take it away' }
      : null,
}

const fileSchemas: Readonly<Record<Mode, FileSchema>> = {
  system: {
    schema: systemSchema,
    explainKey: (key) =>
      personalOnlyKeys.includes(key)
        ? { problem: "is a matter of each person's own taste", mend: 'it goes into their ~/.teleclaude/config.yml' }
        : null,
  },
  'single-user': singleUserFile,
}

/** The file of a mode. Where it has to be there, an empty one is not the same as none: that it knows nobody has to be meant. */
export function parseConfigFile(
  file: string,
  mode: Mode,
  { mustBeThere }: { readonly mustBeThere: boolean },
): ParsedFile {
  try {
    const found = mustBeThere ? readConfigFile(file) : readConfigFileIfThere(file)
    return found === null ? nothingAt(file) : parseFound(file, mode, found)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { ...nothingAt(file), faults: error.faults }
  }
}

function nothingAt(file: string): ParsedFile {
  return { yaml: parseYaml(file, ''), faults: [], warnings: [] }
}

function parseFound(file: string, mode: Mode, { text, stats }: ConfigFile): ParsedFile {
  const yaml = parseYaml(file, text)
  // What can't be read has nothing in it that could be right or wrong.
  const faults =
    yaml.faults.length > 0
      ? yaml.faults
      : [...findFaults(yaml, fileSchemas[mode]), ...(mode === 'system' ? findClashes(yaml) : [])]
  return {
    yaml,
    faults: faults.toSorted(inFileOrder),
    warnings: [...findOpenDoor(file, stats), ...(mode === 'system' ? findWeakGroups(yaml) : [])],
  }
}

function findOpenDoor(file: string, { mode }: Stats): readonly ConfigFault[] {
  if ((mode & 0o022) === 0) return []
  const problem = `can be changed by others than its owner (mode ${(mode & 0o7777).toString(8).padStart(4, '0')})`
  return [{ file, line: 1, column: 1, key: '', problem, mend: `close it: chmod go-w ${shellQuote(file)}` }]
}

/** Groups give a role and can't take one away: who has subordinate gids (subgid(5)) can leave a group behind in a user namespace
 *  of theirs (setgroups(2)), and is then what the rest of the rules make of them. */
function findWeakGroups(yaml: Yaml): readonly ConfigFault[] {
  const parsed = systemSchema.safeParse(yaml.value ?? {}).data
  if (parsed === undefined) return []
  const roleOf = (index: number) => roles.indexOf(parsed.groups[index]?.role ?? 'public')
  return parsed.groups.flatMap(({ gid }, index) => {
    const later = parsed.groups.findIndex((_, other) => other > index && roleOf(other) > roleOf(index))
    const isWeaker = later !== -1 || roles.indexOf(parsed.accounts?.role ?? 'public') > roleOf(index)
    if (!isWeaker) return []
    const stronger = later === -1 ? 'accounts' : `groups[${later}]`
    const problem = `gives less than ${stronger}: whoever drops group ${gid}, as a user namespace lets them, gets that`
    return [
      { ...yaml.place(['groups', index]), problem, mend: 'let the rules go from the strongest role to the weakest' },
    ]
  })
}

const items = z.array(z.unknown()).catch([])
const looseSchema = z.looseObject({ people: items, groups: items }).catch({ people: [], groups: [] })

/** What two people, or two groups, both claim: whose it is would be a matter of their order. Looks at those that are right in
 *  themselves, so that this is said together with what is wrong with others. */
function findClashes(yaml: Yaml): readonly ConfigFault[] {
  const claims = new Map<string, string>()
  const faults: ConfigFault[] = []
  function claim(what: string, path: KeyPath): void {
    const place = yaml.place(path)
    const key = 'key' in place ? place.key : ''
    const before = claims.get(what)
    if (before === undefined) claims.set(what, key)
    else faults.push({ ...place, problem: `is the same as ${before}`, mend: 'keep one of them' })
  }
  const loose = looseSchema.parse(yaml.value ?? {})
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
