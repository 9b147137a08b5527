// `telec config split`: the three layers of a configuration, out of an original TeleClaude's files or our own file of single-user
// mode. The originals are only read; either everything in them is accounted for, or nothing is written.

import { join, resolve } from 'node:path'
import { ConfigError, type ConfigFault } from '../config-error.ts'
import { type FileSchema, findFaults } from '../schema/explain.ts'
import { personalSchema, singleUserSchema } from '../schema/personal.ts'
import { secretsSchema } from '../schema/secrets.ts'
import { systemSchema } from '../schema/system.ts'
import { parseYaml } from '../yaml.ts'
import { proveNothingLost } from './account.ts'
import { kindOfOriginal, type Layer, layers } from './classify.ts'
import { buildFiles } from './layers.ts'
import { readOriginalEnvironment } from './read-environment.ts'
import { type Original, readOriginal } from './read-original.ts'
import { reportSplit, type SplitReport } from './report.ts'
import { settle } from './settle.ts'
import { findMissing, writeFiles } from './write.ts'

export type SplitOptions = {
  readonly from: string
  readonly env: string | null
  readonly people: string | null
  readonly to: string
  readonly dryRun: boolean
}

const modes: Readonly<Record<Layer, number>> = { config: 0o644, secrets: 0o600, personal: 0o644 }
const schemas: Readonly<Record<Layer, FileSchema>> = {
  config: { schema: systemSchema },
  secrets: { schema: secretsSchema, holdsSecrets: true },
  personal: { schema: personalSchema },
}
/** Of a file of configuration: see read-file.ts. */
const maxBytes = 1024 * 1024

/** @throws ConfigError where an original can't be read, or a file that is in the way is another */
export function splitConfig({ from, env, people, to, dryRun }: SplitOptions): SplitReport {
  const faults: ConfigFault[] = []
  const config = attempt(() => readOriginal(resolve(from), '--from'), faults)
  const environment = env === null ? null : attempt(() => readOriginalEnvironment(resolve(env), '--env'), faults)
  const global = people === null ? null : attempt(() => readOriginal(resolve(people), '--people'), faults)
  if (config === null || faults.length > 0) throw new ConfigError(faults)
  const kind = kindOfOriginal(config.root)
  if (kind === 'single-user') refuseFaulty(config)
  const settled = settle(kind, { config, environment, people: global })
  const files = buildFiles(settled)

  const directory = resolve(to)
  const planned = layers.map((layer) => ({
    layer,
    path: join(directory, `${layer}.yml`),
    text: files.texts[layer],
    mode: modes[layer],
  }))
  const unfit = planned.flatMap(({ layer, path, text }) => findUnfit(path, text, schemas[layer]))
  if (unfit.length > 0) throw new ConfigError(unfit)
  proveNothingLost(settled, files)

  const missing = findMissing(planned)
  if (!dryRun && missing.length > 0) writeFiles(directory, missing)
  return reportSplit(settled, files, { directory, planned, missing, dryRun })
}

/** So that what is wrong with all files is said at once. */
function attempt<Read>(read: () => Read, faults: ConfigFault[]): Read | null {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    faults.push(...error.faults)
    return null
  }
}

/** What can't be used as it is has to be mended first: nobody knows what it was meant to say. Secrets in it are moved. */
function refuseFaulty({ file, text }: Original): void {
  const yaml = parseYaml(file, text)
  const faults = findFaults(yaml, { schema: singleUserSchema, holdsSecrets: true })
  const others = faults.filter((fault) => !('key' in fault && fault.key === 'database.url'))
  if (yaml.faults.length > 0 || others.length > 0) throw new ConfigError([...yaml.faults, ...others])
}

function findUnfit(path: string, text: string, schema: FileSchema): readonly ConfigFault[] {
  const yaml = parseYaml(path, text)
  if (yaml.faults.length > 0) return yaml.faults
  const mend = 'shorten the original'
  const isLong = Buffer.byteLength(text) > maxBytes
  const tooLong = { file: path, line: 1, column: 1, key: '', problem: `would be longer than ${maxBytes} bytes`, mend }
  return [...(isLong ? [tooLong] : []), ...findFaults(yaml, schema)]
}
