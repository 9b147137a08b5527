// Variables: those of the process, then those of the file .env beside the deployment. Never one of the directory that somebody
// happens to be in.

import type { Stats } from 'node:fs'
import { parse } from 'dotenv'
import { ConfigError, type ConfigFault } from './config-error.ts'
import { readConfigFileIfThere } from './read-file.ts'
import { isSecretKey, isSecretValue } from './schema/looks-secret.ts'
import { shellQuote } from './shell-quote.ts'

export type Variables = Readonly<Record<string, string | undefined>>

/** `place` is for people: the variable's name, or the file and line of its assignment. */
export type Variable = { readonly value: string; readonly place: string }

export type Environment = {
  /** An empty variable is one that is not set. */
  get(name: string): Variable | null
  /** Everywhere that the variable is set, first the one that counts. */
  all(name: string): readonly Variable[]
  /** Whether .env is there. */
  readonly hasFile: boolean
  readonly faults: readonly ConfigFault[]
  readonly warnings: readonly ConfigFault[]
}

/** Values may be secrets: no message repeats one. */
export function readEnvironment(
  env: Variables,
  envFile: string,
  { secretsMustBeClosed }: { readonly secretsMustBeClosed: boolean },
): Environment {
  const file = readEnvFile(envFile)
  const all = (name: string): readonly Variable[] => {
    const written = file?.values[name]
    return [
      ...(env[name] ? [{ value: env[name], place: name }] : []),
      ...(written ? [{ value: written, place: `${envFile}:${file?.lines.get(name) ?? 1}` }] : []),
    ]
  }
  const exposed = file === null ? null : exposedSecrets(envFile, file)
  return {
    all,
    get: (name) => all(name)[0] ?? null,
    hasFile: file !== null,
    faults: [...(file?.faults ?? []), ...(exposed !== null && secretsMustBeClosed ? [exposed] : [])],
    warnings: exposed !== null && !secretsMustBeClosed ? [exposed] : [],
  }
}

type EnvFile = {
  readonly values: Variables
  readonly lines: ReadonlyMap<string, number>
  readonly stats: Stats | null
  readonly faults: readonly ConfigFault[]
}

const assignment = /^(?:export\s+)?(?<name>[\w.-]+)\s*=\s*(?<value>.*)$/
/** A quote that begins a value and ends nowhere on its line. */
const openQuote = /^(?<quote>["'`])(?!.*\k<quote>)/

/** dotenv passes over what it can't read, which would be a setting that silently does not count. Null: there is none. */
function readEnvFile(file: string): EnvFile | null {
  const faults: ConfigFault[] = []
  const lines = new Map<string, number>()
  try {
    const found = readConfigFileIfThere(file)
    if (found === null) return null
    const { text, stats } = found
    for (const [index, written] of text.split(/\r?\n/).entries()) {
      const line = written.trim()
      if (line === '' || line.startsWith('#')) continue
      const { name = '', value } = assignment.exec(line)?.groups ?? {}
      const place = { file, line: index + 1, column: 1, key: '' }
      if (value === undefined) faults.push({ ...place, problem: 'is no assignment', mend: 'write NAME=value' })
      else if (openQuote.test(value))
        faults.push({ ...place, problem: 'has a quote that does not end', mend: 'end it on the same line' })
      lines.set(name, index + 1)
    }
    // The other parser takes a time that grows with the square of the blank lines.
    return { values: parse(text, { fast: true }), lines, stats, faults }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { values: {}, lines, stats: null, faults: error.faults }
  }
}

function exposedSecrets(file: string, { values, lines, stats }: EnvFile): ConfigFault | null {
  if (stats === null || (stats.mode & 0o007) === 0) return null
  const isSecret = ([key, value = '']: [string, string | undefined]) =>
    key.startsWith('TELECLAUDE_SECRET_') || isSecretKey(key) || isSecretValue(value)
  const [name] = Object.entries(values).find(isSecret) ?? []
  if (name === undefined) return null
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0')
  const problem = `${name} looks like a secret, in a file that is open to everybody (mode ${mode})`
  const mend = `move it into a file that only the service can read, or close this one: chmod 600 ${shellQuote(file)}`
  return { file, line: lines.get(name) ?? 1, column: 1, key: '', problem, mend }
}
