// YAML with the place of everything in it, without what a configuration has no use for: anchors and aliases (a few lines of
// which make gigabytes), tags, several documents. yaml itself refuses what is nested too deeply.

import { isAlias, isMap, isNode, isScalar, LineCounter, type Node, parseDocument, visit } from 'yaml'
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

export function parseYaml(file: string, text: string): Yaml {
  const lines = new LineCounter()
  const document = parseDocument(text, {
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
  const faults: ConfigFault[] = [...document.errors, ...document.warnings].map(({ code, message, pos }) => ({
    ...at(pos[0], ''),
    problem: problems[code] ?? `is no YAML: ${message}`,
    mend: mends[code] ?? 'mend it; text with special characters goes in quotes',
  }))
  const isReadable = faults.length === 0
  const root = document.contents
  const refuse = (node: Node, problem: string, mend: string) =>
    faults.push({ ...at(node.range?.[0] ?? 0, ''), problem, mend })
  if (isReadable) {
    visit(document, {
      Node(_key, node) {
        if (isAlias(node)) refuse(node, 'an alias is used', 'write out what it stands for')
        else if (node.anchor !== undefined) refuse(node, 'an anchor is set', `take &${node.anchor} away`)
        else if (node.tag !== undefined) refuse(node, 'a tag is set', 'take it away')
      },
      Map(_key, { items }) {
        const seen = new Set<string>()
        for (const { key } of items) {
          const name = String(isScalar(key) ? key.value : key)
          if (seen.has(name) && isNode(key)) refuse(key, `the key ${name} is there twice`, 'keep one of them')
          seen.add(name)
        }
      },
    })
  }

  function place(path: KeyPath): ConfigPlace {
    let node: unknown = root
    let offset = isNode(root) ? (root.range?.[0] ?? 0) : 0
    let shown = ''
    for (const step of path) {
      // One value where a list is possible: there is no way further in.
      if (isScalar(node)) break
      shown += typeof step === 'number' ? `[${step}]` : `${shown === '' ? '' : '.'}${String(step)}`
      node = isNode(node) && 'get' in node ? node.get(step, true) : undefined
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
      const pair = isMap(map)
        ? map.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
        : undefined
      const { key: shown, ...rest } = { key: '', ...place([...path, key]) }
      return isNode(pair?.key) ? at(pair.key.range?.[0] ?? 0, shown) : { key: shown, ...rest }
    },
  }
}
