// Decides of every value of the originals whether it stays, has variables filled in, or is a secret, and carries that out: what is
// left can be read by everybody.

import { isMap, isScalar, Scalar, YAMLMap, YAMLSeq } from 'yaml'
import { secretNamePattern } from '../schema/secrets.ts'
import type { KeyPath } from '../yaml.ts'
import {
  isSecretComment,
  isSecretNamed,
  isSecretText,
  isSecretVariable,
  type Kind,
  ownName,
  type SourceName,
  sourceNames,
} from './classify.ts'
import { Needles } from './needles.ts'
import {
  type Comments,
  entryOf,
  type Group,
  groupOf,
  kindOf,
  leavesOf,
  referenceTo,
  referredNames,
  showPath,
  type Text,
  textOf,
  type Value,
  valueIn,
  withComments,
} from './nodes.ts'
import type { Original } from './read-original.ts'
import { fillIn, namesIn, resolveVariables, type Variables, wholeName } from './variables.ts'

export type Sources = Readonly<Record<SourceName, Original | null>>

/** What becomes of one value. */
export type Fate = { readonly how: 'kept' | 'filled' } | { readonly how: 'secret'; readonly name: string }

export type Place = { readonly source: SourceName; readonly path: KeyPath }

export type Settled = {
  readonly kind: Kind
  readonly sources: Sources
  /** Without secrets. */
  readonly roots: Readonly<Record<SourceName, Group>>
  readonly comments: Readonly<Record<SourceName, Comments>>
  readonly fates: ReadonlyMap<string, Fate>
  /** By name; null where the variable that holds it is not set. */
  readonly secrets: ReadonlyMap<string, string | null>
  /** Names of secrets that our own file referred to already. */
  readonly references: ReadonlySet<string>
  readonly variables: Variables
  /** Those that are referred to and not set, with where. */
  readonly unset: ReadonlyMap<string, readonly Place[]>
  /** Comments of which a line was left out, because it holds what looks like a secret. */
  readonly droppedComments: readonly Place[]
  /** What must not be found outside of the file of secrets. */
  readonly needles: Needles
}

const maxNameLength = 64

export function fateKey(source: SourceName, path: KeyPath): string {
  return JSON.stringify([source, ...path])
}

/** @throws ConfigError */
export function settle(kind: Kind, sources: Sources): Settled {
  return new Settler(kind, sources).run()
}

class Settler {
  readonly #kind: Kind
  readonly #sources: Sources
  /** As they are in .env, and with those above them filled in. */
  readonly #written: Variables
  readonly #variables: Variables
  readonly #secretVariables = new Set<string>()
  readonly #needles = new Needles()
  readonly #fates = new Map<string, Fate>()
  readonly #secrets = new Map<string, string | null>()
  readonly #nameOfVariable = new Map<string, string>()
  /** That an original of our own refers to. */
  readonly #references: ReadonlySet<string>
  readonly #taken: Set<string>
  readonly #unset = new Map<string, Place[]>()
  readonly #dropped: Place[] = []

  constructor(kind: Kind, sources: Sources) {
    this.#kind = kind
    this.#sources = sources
    const { environment, config } = sources
    const referred = kind === 'single-user' && config !== null ? referredNames(config.root) : []
    this.#references = new Set(referred.filter((name) => secretNamePattern.test(name)))
    this.#taken = new Set(['legacy', ...this.#references])
    const variables = environment === null ? [] : [...leavesOf(environment.root, [])]
    this.#written = new Map(variables.map(({ text, path }) => [String(path[0]), text.value]))
    this.#variables = kind === 'original' ? resolveVariables(this.#written, environment?.file ?? '') : this.#written
  }

  run(): Settled {
    this.#findSecrets()
    const root = (source: SourceName) => this.#group(source, this.#sources[source]?.root ?? groupOf([]), [])
    const roots = { environment: root('environment'), config: root('config'), people: root('people') }
    const comments = (source: SourceName) => ({
      before: this.#openComment(this.#sources[source]?.comments.before, source, []),
      after: this.#openComment(this.#sources[source]?.comments.after, source, []),
    })
    return {
      kind: this.#kind,
      sources: this.#sources,
      roots,
      comments: { environment: comments('environment'), config: comments('config'), people: comments('people') },
      fates: this.#fates,
      secrets: this.#secrets,
      references: this.#references,
      variables: this.#variables,
      unset: this.#unset,
      droppedComments: this.#dropped,
      needles: this.#needles,
    }
  }

  /** All of them, before anything is decided: one may stand in a value far above. */
  #findSecrets(): void {
    for (const [name, value] of this.#variables) {
      const written = this.#kind === 'original' ? (this.#written.get(name) ?? '') : ''
      const isSecret = namesIn(written).some((other) => this.#secretVariables.has(other))
      if (isSecretVariable(name, value) || isSecretText(value) || isSecret) this.#addSecretVariable(name)
    }
    for (const source of sourceNames) {
      for (const { text, path } of leavesOf(this.#sources[source]?.root ?? groupOf([]), [])) {
        if (source === 'environment' || !this.#isSecret(source, path, text)) continue
        const filled = this.#filledIn(source, path, text)
        // What is only a part of somebody's credentials, such as their name, may stand elsewhere.
        if (!isSecretNamed(ownName(path), filled) && !isSecretText(filled)) continue
        const whole = this.#kind === 'original' ? wholeName(text.value) : null
        if (whole === null) this.#needles.add(filled)
        else this.#addSecretVariable(whole)
      }
    }
  }

  #addSecretVariable(name: string): void {
    this.#secretVariables.add(name)
    this.#needles.add(this.#variables.get(name) ?? '')
  }

  #filledIn(source: SourceName, path: KeyPath, text: Text): string {
    if (source === 'environment') return this.#variables.get(String(path[0])) ?? ''
    if (this.#kind === 'single-user') return text.value
    return fillIn(text.value, this.#variables, this.#sources[source]?.file ?? '', showPath(path))
  }

  #isSecret(source: SourceName, path: KeyPath, text: Text): boolean {
    const kind = kindOf(text)
    if (kind === 'word' || text.value === '') return false
    // A reference already.
    if (path.at(-1) === 'secret' && this.#references.has(text.value)) return false
    const filled = this.#filledIn(source, path, text)
    if (isSecretText(filled)) return true
    if (source === 'environment' && this.#secretVariables.has(String(path[0]))) return true
    // The names of our own keys, and of modes and projects below them, say nothing of that kind.
    const namesTell = source !== 'environment' && (this.#kind === 'original' || path[0] === 'legacy')
    if (namesTell && path.some((step) => typeof step === 'string' && isSecretNamed(step, filled))) return true
    const names = this.#kind === 'original' ? namesIn(text.value) : []
    return names.some((name) => this.#isSecretVariable(name)) || this.#needles.areIn(filled)
  }

  #isSecretVariable(name: string): boolean {
    return this.#secretVariables.has(name) || isSecretVariable(name, this.#variables.get(name) ?? '')
  }

  #value(source: SourceName, value: Value, path: KeyPath): Value {
    if (isScalar(value)) return this.#text(source, value, path)
    if (isMap(value)) return this.#group(source, value, path)
    const made = new YAMLSeq<Value>()
    made.flow = value.flow ?? false
    made.items = value.items.map((item, index) => this.#value(source, item, [...path, index]))
    if (made.items.length === 0) this.#fates.set(fateKey(source, path), { how: 'kept' })
    return this.#withOpenComments(made, value, source, path)
  }

  #group(source: SourceName, group: Group, path: KeyPath): Group {
    const made = new YAMLMap<Text, Value>()
    made.flow = group.flow ?? false
    for (const entry of group.items) {
      const at = [...path, entry.key.value]
      const settled = entryOf(entry.key.value, this.#value(source, valueIn(entry), at))
      settled.key.type = entry.key.type ?? Scalar.PLAIN
      this.#withOpenComments(settled.key, entry.key, source, at)
      made.items.push(settled)
    }
    if (made.items.length === 0) this.#fates.set(fateKey(source, path), { how: 'kept' })
    return this.#withOpenComments(made, group, source, path)
  }

  #text(source: SourceName, text: Text, path: KeyPath): Value {
    if (this.#kind === 'original') {
      for (const name of namesIn(text.value)) if (!this.#variables.get(name)) this.#addUnset(name, { source, path })
    }
    const filled = this.#filledIn(source, path, text)
    if (this.#isSecret(source, path, text)) {
      const name = this.#hide(source, path, text.value, filled)
      this.#fates.set(fateKey(source, path), { how: 'secret', name })
      return this.#withOpenComments(referenceTo(name), text, source, path)
    }
    const isKept = filled === text.value
    this.#fates.set(fateKey(source, path), { how: isKept ? 'kept' : 'filled' })
    const made = isKept ? new Scalar(text.value) : textOf(filled, text.type ?? Scalar.PLAIN)
    if (isKept) made.type = text.type ?? Scalar.PLAIN
    return this.#withOpenComments(made, text, source, path)
  }

  #addUnset(name: string, place: Place): void {
    const places = this.#unset.get(name)
    if (places === undefined) this.#unset.set(name, [place])
    else places.push(place)
  }

  /** Keeps the value for the file of secrets. */
  #hide(source: SourceName, path: KeyPath, written: string, value: string): string {
    const variable = source === 'environment' ? String(path[0]) : this.#kind === 'original' ? wholeName(written) : null
    if (variable === null) {
      const name = this.#freeName(path.map(String).join('_'))
      this.#secrets.set(name, value)
      return name
    }
    const before = this.#nameOfVariable.get(variable)
    if (before !== undefined) return before
    // By that name it is referred to already.
    const own = /^TELECLAUDE_SECRET_([A-Z][A-Z0-9_]{0,63})$/.exec(variable)?.[1]?.toLowerCase() ?? 'legacy'
    const name = own === 'legacy' || this.#secrets.has(own) ? this.#freeName(variable) : own
    this.#taken.add(name)
    this.#nameOfVariable.set(variable, name)
    this.#secrets.set(name, this.#variables.get(variable) || null)
    return name
  }

  /** In the form that the name of a secret has. */
  #freeName(wished: string): string {
    const plain = wished
      .toLowerCase()
      .replaceAll(/[^a-z0-9_]+/g, '_')
      .replace(/^[^a-z]+/, '')
    const base = plain === '' ? 'secret' : plain
    let name = base.slice(0, maxNameLength)
    for (let count = 2; this.#taken.has(name); count++) name = `${base.slice(0, maxNameLength - 6)}_${count}`
    this.#taken.add(name)
    return name
  }

  #withOpenComments<Made extends Value>(made: Made, from: Value, source: SourceName, path: KeyPath): Made {
    withComments(made, from)
    made.comment = this.#openComment(from.comment, source, path)
    made.commentBefore = this.#openComment(from.commentBefore, source, path)
    return made
  }

  /** Without the lines that hold what looks like a secret. */
  #openComment(comment: string | null | undefined, source: SourceName, path: KeyPath): string | null {
    if (!comment) return null
    const lines = comment.split('\n')
    const open = lines.filter((line) => !isSecretComment(line) && !this.#needles.areIn(line))
    if (open.length < lines.length) this.#dropped.push({ source, path })
    return open.join('\n') || null
  }
}
