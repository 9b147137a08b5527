// A person's own file, ~/.teleclaude/config.yml: how telec behaves for them. Read by telec as that person and never by a service.
// It decides which words are added to commands that run as its reader, so nobody else may be able to change it.

import type { Stats } from 'node:fs'
import { dirname } from 'node:path'
import type { z } from 'zod'
import { ConfigError, type ConfigFault, inFileOrder } from './config-error.ts'
import { singleUserFile } from './config-file.ts'
import { type Mode, systemLayout } from './layout.ts'
import { type ConfigFile, readConfigFileIfThere } from './read-file.ts'
import { type FileSchema, findFaults } from './schema/explain.ts'
import { personalSchema, singleUserSchema } from './schema/personal.ts'
import { systemKeyNames } from './schema/system.ts'
import { shellQuote } from './shell-quote.ts'
import { suggest } from './suggest.ts'
import { type KeyPath, parseYaml, type Yaml } from './yaml.ts'

type Written = z.output<typeof personalSchema>

/** Each as it is written, null or left out where nothing is. */
export type Preferences = Readonly<Pick<Written, 'agent' | 'mode' | 'agents' | 'title' | 'colours' | 'projects'>> & {
  readonly detachKey?: Written['detach_key']
  readonly noticeStyle?: Written['notice_style']
  readonly agentStatus?: Written['agent_status']
}

export type ReadPreferences = {
  readonly preferences: Preferences
  /** What is unwise and keeps nothing from working. */
  readonly warnings: readonly ConfigFault[]
}

const schemas = { system: personalSchema, 'single-user': singleUserSchema } as const

const ofTheMachine = {
  problem: "is a key of the machine's configuration, which a personal file can't set",
  mend: `take it away, or ask the admin, who sets it in ${systemLayout(process.platform).configFile}`,
}
const files: Readonly<Record<Mode, FileSchema>> = {
  system: { schema: personalSchema, explainKey: (key) => (systemKeyNames.includes(key) ? ofTheMachine : null) },
  'single-user': singleUserFile,
}

/** No file: no preferences.
 *  @throws ConfigError with all that is wrong with it */
export function readPreferences(file: string, mode: Mode): ReadPreferences {
  const found = readOwnFile(file)
  if (found === null) return { preferences: {}, warnings: [] }
  const doors = findOpenDoors(file, found.stats)
  const yaml = parseYaml(file, found.text)
  // What can't be read has nothing in it that could be right or wrong.
  const inside = yaml.faults.length > 0 ? yaml.faults : findFaults(yaml, files[mode])
  if (doors.faults.length + inside.length > 0) throw new ConfigError([...doors.faults, ...inside.toSorted(inFileOrder)])
  const written = schemas[mode].parse(yaml.value ?? {})
  const unknown = findUnknownModes(yaml, written)
  if (unknown.length > 0) throw new ConfigError(unknown.toSorted(inFileOrder))
  const { agent, agents, title, colours, projects } = written
  const preferences = { agent, mode: written.mode, agents, title, colours, projects }
  return {
    preferences: {
      ...preferences,
      detachKey: written.detach_key,
      noticeStyle: written.notice_style,
      agentStatus: written.agent_status,
    },
    warnings: doors.warnings,
  }
}

function readOwnFile(file: string): ConfigFile | null {
  try {
    return readConfigFileIfThere(file)
  } catch (error) {
    const isClosed =
      error instanceof ConfigError &&
      error.cause instanceof Error &&
      'code' in error.cause &&
      error.cause.code === 'EACCES'
    if (!isClosed) throw error
    // The file, or the directory that it is in: to be made one's own, and not to be opened to everybody.
    const quoted = shellQuote(dirname(file))
    const mend = `make it your own: sudo chown -R ${process.geteuid?.()} ${quoted} && chmod -R u+rwX ${quoted}`
    throw new ConfigError(
      error.faults.map((fault) => ({ ...fault, mend })),
      { cause: error.cause },
    )
  }
}

/** Who else than its reader, and root, can change the file. */
function findOpenDoors(
  file: string,
  { uid, mode }: Stats,
): { readonly faults: readonly ConfigFault[]; readonly warnings: readonly ConfigFault[] } {
  const readerUid = process.geteuid?.()
  const quoted = shellQuote(file)
  const at = { file, line: 1, column: 1, key: '' }
  const faults: ConfigFault[] = []
  const warnings: ConfigFault[] = []
  if (uid !== readerUid && uid !== 0) {
    const problem = `belongs to uid ${uid} and you are uid ${readerUid}: it decides what runs as you`
    faults.push({ ...at, problem, mend: `if it is meant to be yours: sudo chown ${readerUid} ${quoted}` })
  }
  if ((mode & 0o022) !== 0) {
    const isOpenToAll = (mode & 0o002) !== 0
    const problem = `can be changed by ${isOpenToAll ? 'everybody' : 'its group'} (mode ${(mode & 0o7777).toString(8).padStart(4, '0')})`
    const mend = `close it: ${uid === readerUid ? '' : 'sudo '}chmod go-w ${quoted}`
    ;(isOpenToAll ? faults : warnings).push({ ...at, problem, mend })
  }
  return { faults, warnings }
}

/** A default mode applies only to agents that have it. One that none has would never apply: a slip of the pen, and an agent
 *  that may do more than was meant. */
function findUnknownModes(yaml: Yaml, { mode, agents, projects }: Written): readonly ConfigFault[] {
  const known = Object.values(agents ?? {}).flatMap(({ modes }) => Object.keys(modes ?? {}))
  const chosen: readonly (readonly [KeyPath, string | undefined])[] = [
    [['mode'], mode],
    ...Object.entries(projects ?? {}).map(([path, of]) => [['projects', path, 'mode'], of.mode] as const),
  ]
  return chosen.flatMap(([path, name]) => {
    if (name === undefined || known.includes(name)) return []
    const meant = suggest(name, known)
    const there = known.length === 0 ? 'there are none' : `there are ${[...new Set(known)].join(', ')}`
    const mend = meant === null ? `write it below agents, where ${there}` : `did you mean ${meant}?`
    return [{ ...yaml.place(path), problem: 'is a mode of no agent', mend }]
  })
}
