// YAML with the place of everything in it, without what a configuration has no use for: anchors and aliases (a few lines of
// which make gigabytes), tags, several documents. yaml itself refuses what is nested too deeply.

import {
  type ErrorCode,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLMap,
} from 'yaml'
import type { ConfigFault, ConfigPlace } from './config-error.ts'

export type KeyPath = readonly PropertyKey[]

export type Yaml = {
  /** As JSON would give it; null for a file that says nothing, or nothing that can be read. */
  readonly value: unknown
  readonly faults: readonly ConfigFault[]
  /** Of the value at the path, or of the nearest that is there. */
  place(path: KeyPath): ConfigPlace
  placeOfKey(path: KeyPath, key: string): ConfigPlace
}

const mends: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'take the lines "---" away',
  TAB_AS_INDENT: 'indent with spaces',
  BAD_INDENT: 'indent with spaces, as the lines around it',
}
const problems: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: 'there is more than one document',
  RESOURCE_EXHAUSTION: 'it is nested too deeply',
}

/** The document as it is written, anchors and all. A scalar of `failsafe` is the text that it was written as. */
export function readDocument(file: string, text: string, schema: 'core' | 'failsafe') {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    schema,
    lineCounter: lines,
    // Silent, it would pass over further documents.
    logLevel: 'error',
    // Takes a time that grows with the square of the errors.
    prettyErrors: false,
    // Likewise with that of the keys: found below.
    uniqueKeys: false,
    version: '1.2',
  })
  const at = (offset: number, key: string) => {
    const { line, col } = lines.linePos(offset)
    return { file, line: Math.max(1, line), column: Math.max(1, col), key }
  }
  return { document, at, errors: [...document.errors, ...document.warnings] }
}

/** `detail` goes on behind what is said of most errors. */
export function explainSyntax(code: ErrorCode, detail = ''): { readonly problem: string; readonly mend: string } {
  return {
    problem: problems[code] ?? `is no YAML${detail}`,
    mend: mends[code] ?? 'mend it; text with special characters goes in quotes',
  }
}

export function parseYaml(file: string, text: string): Yaml {
  const { document, at, errors } = readDocument(file, text, 'core')
  // Behind a colon, and of a directive, the message quotes the file.
  const faults: ConfigFault[] = errors.map(({ code, message, pos }) => ({
    ...at(pos[0], ''),
    ...explainSyntax(code, `: ${message.split(/:| %/, 1)}`),
  }))
  const isReadable = faults.length === 0
  const root = document.contents
  const refuse = (node: Node, problem: string, mend: string) =>
    faults.push({ ...at(node.range?.[0] ?? 0, ''), problem, mend })
  if (isReadable) {
    const refuseExtras = (_key: unknown, node: Node) => {
      if (isAlias(node)) refuse(node, 'an alias is used', 'write out what it stands for')
      else if (node.anchor !== undefined) refuse(node, 'an anchor is set', 'take it away, with its &')
      else if (node.tag !== undefined) refuse(node, 'a tag is set', 'take it away')
    }
    visit(document, {
      Alias: refuseExtras,
      Scalar: refuseExtras,
      Seq: refuseExtras,
      Map(_key, node) {
        refuseExtras(_key, node)
        const seen = new Set<string>()
        for (const { key } of node.items) {
          const name = String(isScalar(key) ? key.value : key)
          if (seen.has(name) && isNode(key)) refuse(key, `the key ${name} is there twice`, 'keep one of them')
          seen.add(name)
        }
      },
    })
  }

  // A file of a megabyte may have as many faults as keys: looked up one by one in the map, they would take minutes.
  const indexes = new Map<YAMLMap, ReadonlyMap<string, Pair>>()
  function pairIn(map: YAMLMap, key: PropertyKey): Pair | undefined {
    const index =
      indexes.get(map) ??
      new Map(map.items.map((pair) => [String(isScalar(pair.key) ? pair.key.value : pair.key), pair]))
    indexes.set(map, index)
    return index.get(String(key))
  }

  function place(path: KeyPath): ConfigPlace {
    let node: unknown = root
    let offset = isNode(root) ? (root.range?.[0] ?? 0) : 0
    let shown = ''
    for (const step of path) {
      // One value where a list is possible: there is no way further in.
      if (isScalar(node)) break
      shown += typeof step === 'number' ? `[${step}]` : `${shown === '' ? '' : '.'}${String(step)}`
      node = isMap(node) ? pairIn(node, step)?.value : isSeq(node) ? node.items[Number(step)] : undefined
      if (isNode(node)) offset = node.range?.[0] ?? offset
    }
    return at(offset, shown)
  }

  return {
    value: faults.length === 0 ? document.toJS() : null,
    faults,
    place,
    placeOfKey(path, key) {
      const map = path.length === 0 ? root : document.getIn(path, true)
      const pair = isMap(map) ? pairIn(map, key) : undefined
      const { key: shown, ...rest } = { key: '', ...place([...path, key]) }
      return isNode(pair?.key) ? at(pair.key.range?.[0] ?? 0, shown) : { key: shown, ...rest }
    },
  }
}
