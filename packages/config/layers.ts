// What each layer says of a key, and which of them counts: environment > secrets > the mode's file > default.

import { isAbsolute } from 'node:path'
import type { ConfigOrigin } from '@teleclaude/core/api.ts'
import type { z } from 'zod'
import { ConfigError, type ConfigFault, type ConfigPlace, describePlace } from './config-error.ts'
import { type ParsedFile, parseConfigFile } from './config-file.ts'
import { type Environment, readEnvironment, type Variables } from './environment.ts'
import type { Mode } from './layout.ts'
import { readConfigFileIfThere } from './read-file.ts'
import { factsAt } from './schema/explain.ts'
import type { KeyFacts } from './schema/facts.ts'
import { isSecretValue } from './schema/looks-secret.ts'
import { singleUserSchema } from './schema/personal.ts'
import { secretReference } from './schema/secrets.ts'
import { systemSchema } from './schema/system.ts'
import { Secret } from './secret.ts'
import { openSecrets, type Secrets } from './secrets.ts'
import { readSecureFile } from './secure-file.ts'
import { asJson, type Setting } from './setting.ts'
import type { KeyPath } from './yaml.ts'

export type ConfigSources = {
  readonly configFile: string
  readonly secretsFile: string
  readonly envFile: string
  readonly env: Variables
}

export type Loaded<Config> = {
  readonly config: Config
  readonly settings: readonly Setting[]
  /** What is only unwise. */
  readonly warnings: readonly ConfigFault[]
}

/** What a layer says of a key. `at` is where a fault of it is. */
type Candidate = {
  readonly origin: ConfigOrigin
  readonly at: ConfigPlace
  readonly raw: unknown
  readonly isSecret: boolean
}

export class Layers {
  readonly mode: Mode
  readonly file: ParsedFile
  readonly #schema: z.ZodType
  readonly #environment: Environment
  readonly #secrets: Secrets
  /** Whether what is wrong with the secrets is this reader's to say: they may be closed to one who needs none of them. */
  #needsSecrets: boolean
  #faults: ConfigFault[] = []
  readonly #warnings: ConfigFault[] = []
  readonly #settings: Setting[] = []
  readonly #said = new Map<string, readonly Candidate[]>()
  /** Variables whose value is missing for a reason that has been said. */
  readonly #explained = new Set<string>()

  /** @param partial where it is left out, the whole file has to be right; else only what is picked. What it needs has to be known
   *  from elsewhere if the file can't be read; what is below `group` is known from nowhere else, and has to be right as well */
  constructor(
    mode: Mode,
    sources: ConfigSources,
    partial?: { readonly need: readonly string[]; readonly group: string | null },
  ) {
    const { configFile, secretsFile, envFile, env } = sources
    this.mode = mode
    this.#needsSecrets = partial === undefined
    this.#schema = mode === 'system' ? systemSchema : singleUserSchema
    this.#environment = readEnvironment(env, envFile, { secretsMustBeClosed: mode === 'system' })
    const directories = [env.CREDENTIALS_DIRECTORY ?? '', mode === 'system' ? '/run/secrets' : '']
    this.#secrets = openSecrets({
      mode,
      variable: (name) => this.#environment.get(name),
      directories: directories.filter((directory) => directory !== ''),
      file: secretsFile,
    })
    this.file = parseConfigFile(configFile, mode, { mustBeThere: mode === 'system' && partial === undefined })
    const isNeeded = partial?.need.every((key) => this.#fromEnvironment(key).length > 0) !== true
    const isReadable = this.file.yaml.value !== null
    const group = partial?.group ?? null
    const isWhole = partial === undefined || (!isReadable && (isNeeded || group !== null))
    const ofGroup = this.file.faults.filter((fault) => 'key' in fault && fault.key.split(/[.[]/)[0] === group)
    this.#faults = this.#faults.concat(this.#environment.faults, isWhole ? this.file.faults : ofGroup)
  }

  /** The value that counts, parsed; `fallback` where nobody says one, and for a wrong one until `finish` throws. */
  pick<Schema extends z.ZodType, Fallback extends string | number | null>(
    key: string,
    schema: Schema,
    fallback: Fallback,
    fromText: (text: string) => unknown = (text) => text,
  ): z.output<Schema> | Fallback {
    const said = this.#fromEnvironment(key)
    const [first, ...shadowed] = [...said, ...this.#fromFile(key, said.length > 0)]
    const { applies = 'restart' } = this.#facts(key)
    if (first === undefined) {
      this.#settings.push({ key, value: fallback, origin: { layer: 'default', place: null }, shadows: [], applies })
      return fallback
    }
    const raw = typeof first.raw === 'string' && first.origin.layer !== 'system' ? fromText(first.raw) : first.raw
    const parsed = schema.safeParse(raw)
    for (const { message } of parsed.error?.issues ?? []) this.#refuse(key, first.at, message)
    const shown = typeof raw === 'string' && (first.isSecret || isSecretValue(raw)) ? new Secret(raw) : asJson(raw)
    this.#settings.push({
      key,
      value: shown,
      origin: first.origin,
      shadows: shadowed.map(({ origin }) => origin),
      applies,
    })
    return parsed.success ? parsed.data : fallback
  }

  /** Of the last value that is read: what is missing is said together with all that is wrong.
   *  @throws ConfigError */
  require<Value>(key: string, value: Value | null): Value {
    if (value !== null) return value
    const { variable = key } = this.#facts(key)
    const isSaid = this.#settings.some((setting) => setting.key === key && setting.origin.layer !== 'default')
    if (!isSaid && !this.#explained.has(variable)) this.#refuse(key, { variable }, 'is not set')
    throw new ConfigError(this.#allFaults())
  }

  /** The value of a secret that the file names at a place of its own, such as in a list; null where it has to be refused. */
  secretAt(name: string, path: KeyPath): Secret | null {
    this.#needsSecrets = true
    const found = this.#secrets.find(name)
    if (found === null) this.#refuseMissingSecret(name, this.file.yaml.place(path))
    return found?.secret ?? null
  }

  /** A secret that the file names for another service, which this one need not be able to read. */
  passOver(name: string): void {
    this.#secrets.mention(name)
  }

  /** A value of the file that no other layer can say. */
  note(key: string, value: unknown, path: KeyPath): void {
    const origin = { layer: 'system', place: describePlace(this.file.yaml.place(path)) } as const
    this.#settings.push({
      key,
      value: asJson(value),
      origin,
      shadows: [],
      applies: this.#facts(String(path[0])).applies ?? 'live',
    })
  }

  /** @throws ConfigError */
  finish<Config>(config: Config): Loaded<Config> {
    const faults = this.#allFaults()
    if (faults.length > 0) throw new ConfigError(faults)
    const warnings = [
      ...this.file.warnings,
      ...this.#warnings,
      ...this.#environment.warnings,
      ...this.#secrets.warnings,
      ...this.#secrets.unused(),
    ]
    return { config, settings: this.#settings, warnings }
  }

  #allFaults(): readonly ConfigFault[] {
    return this.#needsSecrets ? [...this.#faults, ...this.#secrets.faults] : this.#faults
  }

  #facts(key: string): Partial<KeyFacts> {
    return factsAt(this.#schema, key.split('.'))
  }

  #refuse(key: string, at: ConfigPlace, problem: string): void {
    const isThere = this.#faults.some(
      (fault) => 'file' in fault && 'file' in at && fault.line === at.line && fault.column === at.column,
    )
    // What the whole file was refused for is said once.
    if (!isThere) this.#faults.push({ ...at, problem, mend: this.#facts(key).mend ?? 'take it away' })
  }

  #refuseMissingSecret(name: string, at: ConfigPlace): void {
    // It is somewhere, and why it can't be used is said.
    if (this.#secrets.faults.length > 0) return
    const mend = `write it into secrets.yml as "${name}: VALUE", or into a file of that name in /run/secrets`
    this.#faults.push({ ...at, problem: `names the secret ${name}, which is nowhere`, mend })
  }

  #fromEnvironment(key: string): readonly Candidate[] {
    const said = this.#said.get(key) ?? this.#askEnvironment(key)
    this.#said.set(key, said)
    return said
  }

  #askEnvironment(key: string): readonly Candidate[] {
    const { variable, fromFile } = this.#facts(key)
    if (variable === undefined) return []
    const said = this.#environment.all(variable).map(({ value, place }) => ({
      origin: { layer: 'environment', place } as const,
      at: { variable },
      raw: value,
      isSecret: false,
    }))
    const named = fromFile === undefined ? null : this.#environment.get(`${variable}_FILE`)
    return named === null || fromFile === undefined
      ? said
      : [...said, ...this.#fromNamedFile(variable, named.value, fromFile)]
  }

  #fromNamedFile(variable: string, path: string, kind: 'text' | 'secret'): readonly Candidate[] {
    if (!isAbsolute(path)) {
      // Not repeated: it may be the secret itself, written where its file's name belongs.
      this.#explained.add(variable)
      const mend = 'set it to the path of a file, beginning with /, or unset it'
      this.#faults.push({ variable: `${variable}_FILE`, problem: 'is no absolute path', mend })
      return []
    }
    const { text, faults } = this.#readValueFile(path, kind)
    const value = text?.trim() ?? ''
    if (value !== '') {
      const origin = { layer: 'environment', place: `${variable}_FILE (${path})` } as const
      return [{ origin, at: { variable }, raw: value, isSecret: false }]
    }
    this.#explained.add(variable)
    this.#faults.push(...faults)
    if (faults.length > 0) return []
    const problem = text === null ? 'names a file that is not there' : `names an empty file (${path})`
    this.#faults.push({ variable: `${variable}_FILE`, problem, mend: 'write the value into it, or name another' })
    return []
  }

  #readValueFile(path: string, kind: 'text' | 'secret'): { text: string | null; faults: readonly ConfigFault[] } {
    try {
      if (kind === 'text') return { text: readConfigFileIfThere(path)?.text ?? null, faults: [] }
      const { text, faults, warnings } = readSecureFile(path, { mode: this.mode })
      this.#warnings.push(...warnings)
      return { text: faults.length > 0 ? null : text, faults }
    } catch (error) {
      if (error instanceof ConfigError) return { text: null, faults: error.faults }
      throw error
    }
  }

  #fromFile(key: string, isShadowed: boolean): readonly Candidate[] {
    const path = key.split('.')
    const written = path.reduce<unknown>(
      (at, step) =>
        typeof at === 'object' && at !== null && Object.hasOwn(at, step) ? Reflect.get(at, step) : undefined,
      this.file.yaml.value,
    )
    if (written === undefined || written === null) return []
    const at = this.file.yaml.place(path)
    const origin = { layer: 'system', place: describePlace(at) } as const
    const reference = secretReference.safeParse(written).data?.secret
    if (reference === undefined) return [{ origin, at, raw: written, isSecret: false }]
    if (!isShadowed) this.#needsSecrets = true
    const found = this.#secrets.find(reference)
    if (found === null) {
      if (isShadowed) return []
      this.#explained.add(this.#facts(key).variable ?? key)
      this.#refuseMissingSecret(reference, at)
      return []
    }
    const layer = 'secrets'
    return [
      { origin: { layer, place: found.place }, at, raw: found.secret.reveal(), isSecret: true },
      ...found.shadowed.map((place) => ({ origin: { layer, place } as const, at, raw: null, isSecret: true })),
    ]
  }
}
