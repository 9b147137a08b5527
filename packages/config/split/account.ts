// The proof that nothing was lost on the way and nothing was made up: reads originals and results once more, in another way than
// they were made, and looks for every value of the one in the other.

import { parse as parseEnvironment } from 'dotenv'
import { parseDocument } from 'yaml'
import type { KeyPath } from '../yaml.ts'
import { type Layer, layers, type SourceName, sourceNames } from './classify.ts'
import type { Files, Move } from './layers.ts'
import { showPath } from './nodes.ts'
import { fateKey, type Place, type Settled } from './settle.ts'
import { fillIn } from './variables.ts'

/** Text is a string; what YAML reads as something else is the symbol of its kind and its characters. */
type Value = string | symbol
type Leaf = { readonly path: KeyPath; readonly value: Value }

export type Destination = { readonly layer: Layer; readonly path: KeyPath; readonly move: Move }

const mostShown = 10
/** Keys on the way to what moves by itself. */
const maxMoveLength = 2
/** Aliases were counted when the file was read. */
const maxAliasCount = -1

/** @throws Error where a value is not accounted for: a fault of this program, not of the originals */
export function proveNothingLost(settled: Settled, files: Files): void {
  const results = new Map(
    layers.map((layer) => [
      layer,
      new Map(readLeaves(files.texts[layer]).map((leaf) => [pathKey(leaf.path), leaf.value])),
    ]),
  )
  const claimed = new Set<string>()
  const find = (layer: Layer, path: KeyPath) => {
    claimed.add(`${layer} ${pathKey(path)}`)
    return results.get(layer)?.get(pathKey(path))
  }

  const lost: string[] = []
  for (const source of sourceNames) {
    for (const { path, value } of readSource(settled, source)) {
      if (!isThere(settled, files, { source, path }, value, find)) lost.push(`${source} ${showPath(path)}`)
    }
  }
  const madeUp = [...results].flatMap(([layer, leaves]) =>
    [...leaves.keys()].filter((path) => !claimed.has(`${layer} ${path}`)).map((path) => `${layer} ${path}`),
  )
  const open = [...results].flatMap(([layer, leaves]) =>
    [...leaves].flatMap(([path, value]) =>
      layer !== 'secrets' && holdsSecret(settled, value) ? [`${layer} ${path}`] : [],
    ),
  )
  const faults = [
    ...describe('not found again', lost),
    ...describe('from nowhere', madeUp),
    ...describe('with a secret in the open', open),
  ]
  if (faults.length > 0) throw new Error(`cannot split the configuration: ${faults.join('; ')}; nothing was written`)
}

/** Where the value at a place of an original went, or null. */
export function findDestination({ moves }: Files, { source, path }: Place): Destination | null {
  for (let length = Math.min(path.length, maxMoveLength); length > 0; length--) {
    const move = moves.get(fateKey(source, path.slice(0, length)))
    if (move !== undefined) return { layer: move.layer, path: [...move.to, ...path.slice(length)], move }
  }
  return null
}

function isThere(
  settled: Settled,
  files: Files,
  place: Place,
  value: Value,
  find: (layer: Layer, path: KeyPath) => Value | undefined,
): boolean {
  const destination = findDestination(files, place)
  const fate = settled.fates.get(fateKey(place.source, place.path))
  if (destination === null || fate === undefined) return false
  const { layer, path, move } = destination
  const written = charactersOf(value)
  const filled = fill(settled, place, written)
  if (fate.how === 'secret') {
    const { name } = fate
    const isReferredTo = layer === 'secrets' || find(layer, [...path, 'secret']) === name
    const secret = find('secrets', files.secretPaths.get(name) ?? [])
    return isReferredTo && (secret === filled || (secret === undefined && settled.secrets.get(name) === null))
  }
  const found = find(layer, path)
  if (move.translate !== undefined) return found === move.translate(filled)
  return fate.how === 'filled' ? found === filled && filled !== written : found === value
}

function fill({ kind, sources, variables }: Settled, { source, path }: Place, written: string): string {
  if (kind === 'single-user') return written
  if (source === 'environment') return variables.get(String(path[0])) ?? ''
  return fillIn(written, variables, sources[source]?.file ?? '', showPath(path))
}

function holdsSecret({ needles, secrets, references }: Settled, value: Value): boolean {
  // A password may be its own name.
  if (typeof value === 'string' && (secrets.has(value) || references.has(value))) return false
  return needles.areIn(charactersOf(value))
}

function readSource({ sources }: Settled, source: SourceName): readonly Leaf[] {
  const text = sources[source]?.text
  if (text === undefined) return []
  if (source !== 'environment') return readLeaves(text)
  return Object.entries(parseEnvironment(text, { fast: true })).map(([name, value]) => ({ path: [name], value }))
}

/** By the resolution of aliases and merge keys that yaml itself has. */
function readLeaves(text: string): readonly Leaf[] {
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    merge: true,
    stringKeys: true,
    uniqueKeys: false,
    prettyErrors: false,
    customTags: (tags) =>
      tags.map((tag) =>
        typeof tag === 'object' && 'test' in tag && tag.test !== undefined
          ? { ...tag, resolve: (characters: string) => symbolOf(tag.tag, characters) }
          : tag,
      ),
  })
  const value: unknown = document.toJS({ maxAliasCount })
  return value === null || value === symbolOf(nullTag, '') ? [] : collect(value, [])
}

const nullTag = 'tag:yaml.org,2002:null'

/** Null is one thing, however it is written. */
function symbolOf(tag: string, characters: string): symbol {
  return Symbol.for(tag === nullTag ? 'null' : `${tag} ${characters}`)
}

function charactersOf(value: Value): string {
  if (typeof value === 'string') return value
  const { description = '' } = value
  return description.slice(description.indexOf(' ') + 1)
}

function collect(value: unknown, path: KeyPath): readonly Leaf[] {
  if (typeof value === 'string' || typeof value === 'symbol') return [{ path, value }]
  // What an empty pair of a flow collection has.
  if (typeof value !== 'object' || value === null) return [{ path, value: symbolOf(nullTag, '') }]
  const steps = Array.isArray(value) ? value.map((item, index) => [index, item] as const) : Object.entries(value)
  if (steps.length > 0) return steps.flatMap(([step, inner]) => collect(inner, [...path, step]))
  return path.length === 0 ? [] : [{ path, value: Symbol.for(Array.isArray(value) ? 'empty list' : 'empty group') }]
}

function pathKey(path: KeyPath): string {
  return JSON.stringify(path)
}

function describe(what: string, where: readonly string[]): readonly string[] {
  if (where.length === 0) return []
  const more = where.length > mostShown ? ` and ${where.length - mostShown} more` : ''
  return [
    `${where.length} ${where.length === 1 ? 'value' : 'values'} ${what} (${where.slice(0, mostShown).join(', ')}${more})`,
  ]
}
