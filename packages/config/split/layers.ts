// Makes the three files out of what was settled: keys of ours in their place, everything else below `legacy`.

import { isMap, isScalar } from 'yaml'
import {
  isOneWithin,
  type Known,
  knownKeys,
  type Layer,
  legacyLayer,
  type OpenLayer,
  type SourceName,
  sourceNames,
} from './classify.ts'
import {
  type Entry,
  entryOf,
  findEntry,
  type Group,
  groupOf,
  joinComments,
  printFile,
  quoted,
  referredName,
  referredNames,
  textOf,
  toPlain,
  valueIn,
  withComments,
} from './nodes.ts'
import { fateKey, type Settled } from './settle.ts'

/** Where a value and all that is below it went, save what has a move of its own. */
export type Move = {
  readonly source: SourceName
  readonly path: readonly string[]
  readonly layer: Layer
  readonly to: readonly string[]
  readonly translate: ((text: string) => string) | undefined
  /** Why it is not where it could be. */
  readonly note: string | null
}

export type Files = {
  readonly texts: Readonly<Record<Layer, string>>
  readonly roots: Readonly<Record<Layer, Group>>
  /** By the place (`fateKey`) that they move. */
  readonly moves: ReadonlyMap<string, Move>
  /** Where in the file of secrets each is, by its name. */
  readonly secretPaths: ReadonlyMap<string, readonly string[]>
}

const headers: Readonly<Record<Layer, string>> = {
  config: " The machine's configuration.",
  secrets: ' Secrets of the service. Nobody else may read this file.',
  personal: " One person's preferences: their ~/.teleclaude/config.yml.",
}
const legacyComment = ' What has no meaning here. Kept, and used by nobody.'

export function buildFiles(settled: Settled): Files {
  return new Builder(settled).build()
}

type Rest = {
  readonly source: SourceName
  readonly path: readonly [string, ...string[]]
  readonly entry: Entry
  /** Why something in it is not a key of ours. */
  readonly notes: readonly { readonly path: readonly string[]; readonly text: string }[]
}

class Builder {
  readonly #settled: Settled
  readonly #keys: Readonly<Record<OpenLayer, Group>> = { config: groupOf([]), personal: groupOf([]) }
  readonly #legacy: Readonly<Record<OpenLayer, Group>> = { config: groupOf([]), personal: groupOf([]) }
  readonly #taken: Readonly<Record<OpenLayer, Set<string>>> = { config: new Set(), personal: new Set() }
  readonly #environment = groupOf([])
  /** Of a secret of the environment, by its name: for its comments. */
  readonly #secretEntries = new Map<string, Entry>()
  readonly #moves = new Map<string, Move>()
  readonly #known: Known[] = []
  /** Names of secrets that a key of ours refers to. */
  readonly #live = new Set<string>()

  constructor(settled: Settled) {
    this.#settled = settled
  }

  build(): Files {
    const { roots, comments } = this.#settled
    const header = paragraphs(comments.config.before, takeHeader(roots.config))
    const [firstOfPeople] = roots.people.items
    if (firstOfPeople !== undefined) {
      firstOfPeople.key.commentBefore = joinComments(comments.people.before, firstOfPeople.key.commentBefore)
      firstOfPeople.key.spaceBefore = true
    }
    this.#environment.comment = comments.environment.after

    const rest = sourceNames.flatMap((source) =>
      roots[source].items.flatMap((entry) => this.#placeKnown(source, entry)),
    )
    for (const part of rest) if (part.source !== 'environment') this.#placeLegacy(part)
    this.#placeVariables(rest.filter((part) => part.source === 'environment'))

    const secretPaths = this.#secretPaths()
    const made = {
      config: withLegacy(this.#keys.config, this.#legacy.config),
      secrets: this.#makeSecrets(secretPaths),
      personal: withLegacy(this.#keys.personal, this.#legacy.personal),
    }
    const texts = {
      config: printFile(made.config, {
        before: paragraphs(headers.config, header),
        after: paragraphs(comments.config.after, comments.people.after),
      }),
      secrets: printFile(made.secrets, { before: headers.secrets, after: null }),
      personal: printFile(made.personal, { before: headers.personal, after: null }),
    }
    return { texts, roots: made, moves: this.#moves, secretPaths }
  }

  /** What is left of an entry once the keys of ours are taken out of it. */
  #placeKnown(source: SourceName, entry: Entry): readonly Rest[] {
    const { kind, fates } = this.#settled
    const name = entry.key.value
    const notes: { readonly path: readonly string[]; readonly text: string }[] = []
    for (const known of knownKeys(kind, source, name)) {
      const part = findPart(entry, known.path)
      if (part === null) continue
      if (part !== entry) takeCommentAbove(entry, part)
      const text = this.#tryKnown(known, part)
      if (text !== null) notes.push({ path: known.path, text })
      else if (part === entry) return []
      else remove(entry, part)
    }
    const value = valueIn(entry)
    if (isMap(value) && value.items.length === 0 && !fates.has(fateKey(source, [name]))) return []
    if (kind !== 'single-user' || name !== 'legacy' || !isMap(value) || isWhole(value))
      return [{ source, path: [name], entry, notes }]
    const [first] = value.items
    const above = entry.key.commentBefore === legacyComment ? null : entry.key.commentBefore
    if (first !== undefined)
      first.key.commentBefore = joinComments(joinComments(above, value.commentBefore), first.key.commentBefore)
    return value.items.map((inner) => ({ source, path: [name, inner.key.value], entry: inner, notes: [] }))
  }

  /** Null where it is placed, or why it can't be. */
  #tryKnown(known: Known, part: Entry): string | null {
    const { source, path, layer, to, schema, translate } = known
    const key = to.join('.')
    if (this.#known.some((move) => move.layer === layer && isOneWithin(move.to, to))) return `something else is ${key}`
    let value = valueIn(part)
    const translation = translate !== undefined && isScalar(value) ? translate(value.value) : null
    const isTranslated = translation !== null && isScalar(value) && translation !== value.value
    if (isTranslated) value = withComments(textOf(translation), value)
    const issue = schema.safeParse(toPlain(value)).error?.issues[0]
    // Said of a value that may be one of several.
    if (issue !== undefined) return `as ${key} it ${issue.code === 'invalid_union' ? 'can not be used' : issue.message}`
    const [first, second] = to
    const placed = entryOf(second ?? first, value)
    withComments(placed.key, part.key)
    this.#keys[layer].items.push(second === undefined ? placed : entryOf(first, groupOf([placed])))
    for (const name of referredNames(value)) this.#live.add(name)
    this.#known.push(known)
    this.#addMove({ source, path, layer, to, translate: isTranslated ? translate : undefined, note: null })
    return null
  }

  #placeLegacy({ source, path, entry, notes }: Rest): void {
    const layer = legacyLayer(this.#settled.kind, source, entry.key.value)
    const group = this.#legacy[layer]
    const name = freeKey(entry.key.value, this.#taken[layer])
    this.#taken[layer].add(name)
    if (name !== entry.key.value) entry.key.value = name
    if (group.items.length === 0) entry.key.spaceBefore = false
    group.items.push(entry)
    this.#addLegacyMoves({ source, path, entry, notes }, layer, ['legacy', name])
  }

  #placeVariables(parts: readonly Rest[]): void {
    const key = freeKey('environment', this.#taken.config)
    for (const part of parts) {
      const fate = this.#settled.fates.get(fateKey(part.source, part.path))
      if (fate?.how === 'secret') {
        this.#secretEntries.set(fate.name, part.entry)
        this.#addLegacyMoves(part, 'secrets', this.#secretPath(fate.name))
      } else {
        this.#environment.items.push(part.entry)
        this.#addLegacyMoves(part, 'config', ['legacy', key, ...part.path])
      }
    }
    if (this.#environment.items.length === 0) return
    const entry = entryOf(key, this.#environment)
    entry.key.spaceBefore = this.#legacy.config.items.length > 0
    this.#legacy.config.items.push(entry)
  }

  /** What a note is about has a move of its own. */
  #addLegacyMoves({ source, path, notes }: Rest, layer: Layer, to: readonly string[]): void {
    this.#addMove({ source, path, layer, to, translate: undefined, note: null })
    for (const { path: noted, text } of notes)
      this.#addMove({
        source,
        path: noted,
        layer,
        to: [...to, ...noted.slice(path.length)],
        translate: undefined,
        note: text,
      })
  }

  #addMove(move: Move): void {
    this.#moves.set(fateKey(move.source, move.path), move)
  }

  #secretPath(name: string): readonly string[] {
    return this.#live.has(name) ? [name] : ['legacy', name]
  }

  #secretPaths(): ReadonlyMap<string, readonly string[]> {
    return new Map([...this.#settled.secrets.keys()].map((name) => [name, this.#secretPath(name)]))
  }

  #makeSecrets(paths: ReadonlyMap<string, readonly string[]>): Group {
    const secrets = groupOf([])
    const legacy = groupOf([])
    for (const [name, value] of this.#settled.secrets) {
      if (value === null) continue
      const entry = entryOf(name, quoted(value))
      const from = this.#secretEntries.get(name)
      if (from !== undefined) {
        withComments(entry.key, from.key)
        withComments(valueIn(entry), valueIn(from))
      }
      const group = paths.get(name)?.length === 1 ? secrets : legacy
      group.items.push(entry)
    }
    return withLegacy(secrets, legacy)
  }
}

function withLegacy(root: Group, legacy: Group): Group {
  if (legacy.items.length === 0) return root
  const entry = entryOf('legacy', legacy)
  entry.key.commentBefore = legacyComment
  entry.key.spaceBefore = root.items.length > 0
  return groupOf([...root.items, entry])
}

/** The entry at the path, which begins with the entry's own key. */
function findPart(entry: Entry, [, second]: readonly string[]): Entry | null {
  const value = valueIn(entry)
  if (second === undefined) return entry
  return isMap(value) ? (findEntry(value, second) ?? null) : null
}

/** There is nothing in it that could stand by itself. */
function isWhole(value: Group): boolean {
  return value.items.length === 0 || referredName(value) !== null
}

function remove({ value }: Entry, part: Entry): void {
  if (isMap(value)) value.items.splice(value.items.indexOf(part), 1)
}

/** What is written above the first key of a group is about that key. */
function takeCommentAbove({ value }: Entry, part: Entry): void {
  if (!isMap(value) || value.items[0] !== part) return
  part.key.commentBefore = joinComments(value.commentBefore, part.key.commentBefore)
  value.commentBefore = null
}

function freeKey(wished: string, taken: ReadonlySet<string>): string {
  let key = wished
  for (let count = 2; taken.has(key); count++) key = `${wished}_${count}`
  return key
}

/** The paragraphs above the first key but the last, which is about that key. */
function takeHeader({ items: [first] }: Group): string | null {
  const comment = first?.key.commentBefore ?? ''
  const end = comment.lastIndexOf('\n\n')
  if (first === undefined || end === -1) return null
  first.key.commentBefore = comment.slice(end + 2) || null
  return comment.slice(0, end)
}

function paragraphs(one: string | null, other: string | null): string | null {
  return [one, other].filter((part) => part !== null).join('\n\n') || null
}
