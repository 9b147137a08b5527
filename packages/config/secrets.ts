// Where the value of `{ secret: NAME }` comes from: the environment, a directory with a file for each secret, or secrets.yml. The
// first that has it counts. No fault or warning holds a value, nor anything else that stands in a file of secrets: where it is
// broken, what looks like a key may be a part of one.

import { isAbsolute, join } from 'node:path'
import { z } from 'zod'
import type { ConfigFault, ConfigPlace } from './config-error.ts'
import type { Mode } from './layout.ts'
import { findFaults } from './schema/explain.ts'
import { secretNamePattern, secretsSchema } from './schema/secrets.ts'
import { Secret } from './secret.ts'
import { readSecureFile } from './secure-file.ts'
import { suggest } from './suggest.ts'
import { parseYaml } from './yaml.ts'

export type SecretPlaces = {
  readonly mode: Mode
  /** The environment, then the file .env. `place` is for people: the variable's name, or FILE:LINE. An empty one is none. */
  readonly variable: (name: string) => { readonly value: string; readonly place: string } | null
  /** Directories of one file a secret, in this order; those that are not there are passed over. */
  readonly directories: readonly string[]
  /** secrets.yml; need not be there. */
  readonly file: string
}

export type FoundSecret = {
  readonly secret: Secret
  readonly place: string
  /** Where it is as well, to no effect. */
  readonly shadowed: readonly string[]
}

export type Secrets = {
  /** Null where it is nowhere, and where the first place that has it is refused: nothing from further down comes in its stead. */
  find(name: string): FoundSecret | null
  /** Somebody else needs it: it is not looked for, and not unused. */
  mention(name: string): void
  /** What makes the sources unusable, and what is only unwise: complete once every `find` was made. */
  readonly faults: readonly ConfigFault[]
  readonly warnings: readonly ConfigFault[]
  /** A warning for each entry of secrets.yml that no `find` has asked for. */
  unused(): readonly ConfigFault[]
}

/** Null as a secret: it is there, and a fault says why it can't be used. */
type Source = { readonly place: string; readonly secret: Secret | null }

/** Reads secrets.yml at once and everything else when it is asked for. */
export function openSecrets(places: SecretPlaces): Secrets {
  const faults: ConfigFault[] = []
  const warnings: ConfigFault[] = []
  const directories = [...new Set(places.directories)]
  const asked = new Map<string, FoundSecret | null>()
  const mentioned = new Set<string>()

  function read(file: string): { readonly text: string | null; readonly isRefused: boolean } {
    const found = readSecureFile(file, { mode: places.mode })
    faults.push(...found.faults)
    warnings.push(...found.warnings)
    return { text: found.text, isRefused: found.faults.length > 0 }
  }

  const { text, isRefused: isFileRefused } = read(places.file)
  const written = parseEntries(places.file, text ?? '')
  // Not as arguments, of which a stack holds only so many.
  for (const fault of written.faults) faults.push(fault)
  const isFileUsable = !isFileRefused && written.faults.length === 0

  function fromFile(file: string, place: string): Source | null {
    const { text, isRefused } = read(file)
    if (text === null) return isRefused ? { place, secret: null } : null
    // Editors and `echo` end a file with it.
    const value = text.replace(/\r?\n$/, '')
    if (value === '') {
      const mend = 'write the value into it, or take it away'
      faults.push({ file, line: 1, column: 1, key: '', problem: 'is empty', mend })
    }
    return { place, secret: isRefused || value === '' ? null : new Secret(value) }
  }

  function fromVariable(name: string): Source | null {
    const found = places.variable(name)
    return found === null || found.value === '' ? null : { place: found.place, secret: new Secret(found.value) }
  }

  function fromNamedFile(variable: string): Source | null {
    const named = places.variable(variable)
    if (named === null || named.value === '') return null
    const { value: file, place } = named
    const source = isAbsolute(file) ? fromFile(file, `${file} (${place})`) : null
    if (source !== null) return source
    // Not repeated: it may be the secret itself, written where its file's name belongs.
    const problem = isAbsolute(file) ? 'names a file that is not there' : 'is no absolute path'
    faults.push({ variable, problem, mend: 'set it to the path of a file that holds the secret, or unset it' })
    return { place, secret: null }
  }

  function fromEntry(name: string): Source | null {
    const value = written.entries.get(name)
    if (value === undefined) return null
    const place = `${places.file}:${written.position(name).line}`
    return { place, secret: isFileUsable && typeof value === 'string' ? new Secret(value) : null }
  }

  function search(name: string): FoundSecret | null {
    const variable = `TELECLAUDE_SECRET_${name.toUpperCase()}`
    // As Docker Compose's secrets are often called.
    const fileNames = new Set([name, name.replaceAll('_', '-')])
    const sources = [
      // One that ends in _FILE names the file of another secret.
      name.endsWith('_file') ? null : fromVariable(variable),
      fromNamedFile(`${variable}_FILE`),
      ...directories.flatMap((directory) =>
        [...fileNames].map((fileName) => fromFile(join(directory, fileName), join(directory, fileName))),
      ),
      fromEntry(name),
    ].filter((source) => source !== null)
    const [first, ...shadowed] = sources
    if (first === undefined || first.secret === null) return null
    return { secret: first.secret, place: first.place, shadowed: shadowed.map(({ place }) => place) }
  }

  return {
    faults,
    warnings,
    find(name) {
      // Nothing else leads to one file in a directory and one variable.
      if (!secretNamePattern.test(name)) return null
      const known = asked.get(name)
      if (known !== undefined) return known
      const found = search(name)
      asked.set(name, found)
      return found
    },
    mention(name) {
      mentioned.add(name)
    },
    unused() {
      const missing = [...asked.keys()].filter((name) => !written.entries.has(name))
      const unasked = [...written.entries.keys()].filter((name) => !asked.has(name) && !mentioned.has(name))
      return unasked.map((name) => {
        const meant = suggest(name, missing)
        const mend =
          meant === null ? 'take it away, or write { secret: NAME } where it belongs' : `did you mean ${meant}?`
        const problem = 'is referenced nowhere'
        return { file: places.file, ...written.position(name), key: '', problem, mend }
      })
    },
  }
}

type Position = { readonly line: number; readonly column: number }

const fileMend =
  "write each name once and its value in quotes, as NAME: 'VALUE'; one of several lines goes below NAME: |"
const entriesSchema = z.record(z.string(), z.unknown()).catch({})

/** Faults have a line and column, and no key: where a colon, a quote or a line break is amiss, the key is a part of a value. For
 *  the same reason nothing is repeated of what YAML's own messages quote. */
function parseEntries(file: string, text: string) {
  const yaml = parseYaml(file, text)
  const found =
    yaml.faults.length > 0
      ? yaml.faults.map((fault) => ({ ...fault, problem: 'is no YAML that can be used here' }))
      : findFaults(yaml, { schema: secretsSchema, holdsSecrets: true })
  const { legacy: _, ...entries } = entriesSchema.parse(yaml.value)
  return {
    entries: new Map(Object.entries(entries)),
    faults: found.map((fault) => ({ file, ...position(fault), key: '', problem: fault.problem, mend: fileMend })),
    position: (name: string) => position(yaml.placeOfKey([], name)),
  }
}

function position(place: ConfigPlace): Position {
  return 'line' in place ? { line: place.line, column: place.column } : { line: 1, column: 1 }
}
