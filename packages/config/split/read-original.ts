// Reads the YAML of an original. What our own files can't have is resolved: an alias becomes what it stands for, a merge key the
// keys that it brings, a tag the form that it asks for. Messages repeat nothing of the text, which may be a secret.

import { isAlias, isMap, isNode, isScalar, isSeq, type Node, Pair, Scalar, YAMLMap, YAMLSeq } from 'yaml'
import { ConfigError, type ConfigFault } from '../config-error.ts'
import { readConfigFileIfThere } from '../read-file.ts'
import { isSecretValue } from '../schema/looks-secret.ts'
import { explainSyntax, readDocument } from '../yaml.ts'
import {
  type Comments,
  type Entry,
  type Group,
  joinComments,
  kindOf,
  nothing,
  type Text,
  textOf,
  type Value,
  withComments,
} from './nodes.ts'

export type Original = {
  readonly file: string
  readonly text: string
  readonly root: Group
  /** Of the file as a whole. */
  readonly comments: Comments
}

/** As far as anybody would indent. */
const maxDepth = 64
/** That aliases stand for, all together: nine of them can stand for billions. */
const maxCopied = 10_000

const inlineComment = /[^\S\n]*#/y

/** `option` is what the file was named with.
 *  @throws ConfigError with everything that is wrong with it */
export function readOriginal(file: string, option: string): Original {
  const text = readText(file, option)
  const { document, at, errors } = readDocument(file, text, 'failsafe')
  // Of a tag: looked at below.
  const broken = errors.filter(({ code }) => code !== 'TAG_RESOLVE_FAILED')
  const faults: ConfigFault[] = broken.map(({ code, pos }) => ({ ...at(pos[0], ''), ...explainSyntax(code) }))
  if (faults.length > 0) throw new ConfigError(faults)

  const resolver = new Resolver(text, (node, problem, mend) => {
    const offset = isNode(node) ? (node.range?.[0] ?? 0) : 0
    faults.push({ ...at(offset, ''), problem, mend })
  })
  const { root, spilled } = resolver.resolve(document.contents, option)
  if (faults.length > 0) throw new ConfigError(faults)
  return {
    file,
    text,
    root,
    comments: { before: document.commentBefore, after: joinComments(spilled, document.comment) },
  }
}

/** With the line ends of Unix.
 *  @throws ConfigError */
export function readText(file: string, option: string): string {
  const found = readConfigFileIfThere(file)
  if (found !== null) return found.text.replaceAll(/\r\n?/g, '\n')
  const place = { file, line: 1, column: 1, key: '' }
  throw new ConfigError([{ ...place, problem: 'is not there', mend: `name a file that is there with ${option}` }])
}

type Refuse = (node: unknown, problem: string, mend: string) => void

class Resolver {
  readonly #source: string
  readonly #refuse: Refuse
  /** Null: not read to its end. */
  readonly #anchors = new Map<string, Value | null>()
  #copied = 0
  /** A blank line, and comments behind it, that were read as the end of what is above and belong to what comes next. */
  #spilled: { readonly comment: string | null } | null = null

  constructor(source: string, refuse: Refuse) {
    this.#source = source
    this.#refuse = refuse
  }

  resolve(contents: unknown, option: string): { readonly root: Group; readonly spilled: string | null } {
    const isNull = isPlain(contents) && contents.tag === undefined && /^(~|[Nn]ull|NULL)?$/.test(contents.source ?? '')
    const isEmpty = contents === null || isNull
    const root = isEmpty ? new YAMLMap<Text, Value>() : this.#value(contents, 0)
    if (isMap(root)) {
      // Written above the first key, it is about that key or the file.
      const [first] = root.items
      if (first !== undefined) first.key.commentBefore = joinComments(root.commentBefore, first.key.commentBefore)
      root.commentBefore = null
      const spilled = this.#spilled?.comment ?? null
      return { root, spilled }
    }
    this.#refuse(contents, 'is no group of keys', `name the file that is meant by ${option}`)
    return { root: new YAMLMap<Text, Value>(), spilled: null }
  }

  #value(node: unknown, depth: number): Value {
    if (isAlias(node)) return this.#alias(node.source, node, depth)
    if (depth > maxDepth) {
      this.#refuse(node, `is nested deeper than ${maxDepth} levels`, 'write it flatter')
      return textOf('')
    }
    const anchor = isMap(node) || isSeq(node) || isScalar(node) ? node.anchor : undefined
    if (anchor !== undefined) this.#anchors.set(anchor, null)
    const made = isMap(node) ? this.#group(node, depth) : isSeq(node) ? this.#list(node, depth) : this.#text(node)
    if (anchor !== undefined) this.#anchors.set(anchor, made)
    return made
  }

  #alias(name: string, node: Node, depth: number): Value {
    const meant = this.#anchors.get(name)
    if (meant === undefined) this.#refuse(node, 'is an alias of nothing', 'set the anchor before it is used')
    else if (meant === null) this.#refuse(node, 'is an alias of what it is a part of', 'take it away')
    else if (this.#copied <= maxCopied) {
      this.#copied += countNodes(meant)
      if (this.#copied <= maxCopied) return withOwnComment(this.#value(meant, depth), node)
      this.#refuse(node, `makes aliases stand for more than ${maxCopied} values`, 'write out what is needed of it')
    }
    return textOf('')
  }

  #text(node: unknown): Text {
    if (!isScalar(node)) return nothing()
    if (isPlain(node) && node.source === '' && node.tag === undefined) return this.#empty(node)
    const made = new Scalar(typeof node.value === 'string' ? node.value : String(node.source))
    made.type = node.type ?? Scalar.PLAIN
    const tag = node.tag?.replace('tag:yaml.org,2002:', '')
    if (tag === 'str' || tag === '!') {
      if (kindOf(made) !== 'text') made.type = Scalar.QUOTE_DOUBLE
    } else if (tag !== undefined) {
      made.type = Scalar.PLAIN
      const kinds: Readonly<Record<string, string>> = { int: 'number', float: 'number', bool: 'word', null: 'word' }
      if (kinds[tag] === undefined || kinds[tag] !== kindOf(made))
        this.#refuse(node, 'has a tag that says nothing here', 'take the tag away, and write the value in quotes')
    }
    if (made.type === Scalar.PLAIN && made.value === '') made.value = 'null'
    return withComments(made, node)
  }

  /** What is left empty is null. */
  #empty({ comment, spaceBefore, range }: Scalar): Text {
    const made = nothing()
    inlineComment.lastIndex = range?.[0] ?? 0
    if (inlineComment.test(this.#source)) made.comment = comment ?? null
    else if (comment || spaceBefore) this.#spilled = { comment: comment ?? null }
    return made
  }

  #list(node: YAMLSeq, depth: number): Value {
    this.#checkTag(node, 'seq')
    const made = new YAMLSeq<Value>()
    made.flow = node.flow ?? false
    withComments(made, node)
    for (const item of node.items) {
      const spilled = this.#takeSpilled()
      const value = this.#value(item, depth + 1)
      addSpilled(value, spilled)
      made.items.push(value)
    }
    made.comment = this.#ownEnd(node)
    return made
  }

  #group(node: YAMLMap, depth: number): Group {
    this.#checkTag(node, 'map')
    const made = new YAMLMap<Text, Value>()
    made.flow = node.flow ?? false
    withComments(made, node)
    const names = new Set<string>()
    // Its own keys count before those that are merged into it, wherever they stand.
    const parts = node.items.map((pair): readonly Entry[] => {
      if (isMergeKey(pair.key)) return this.#merged(pair, depth)
      const key = this.#key(pair.key)
      if (names.has(key.value)) this.#refuse(pair.key, 'is a key that is there twice', 'keep one of them')
      names.add(key.value)
      return [new Pair(key, this.#value(pair.value, depth + 1))]
    })
    for (const [index, part] of parts.entries()) {
      const isMerged = isMergeKey(node.items[index]?.key)
      for (const entry of part) {
        if (isMerged && names.has(entry.key.value)) continue
        names.add(entry.key.value)
        made.items.push(entry)
      }
    }
    made.comment = this.#ownEnd(node)
    return made
  }

  #key(node: unknown): Text {
    const spilled = this.#takeSpilled()
    const key = isMap(node) || isSeq(node) ? null : this.#value(node, 0)
    if (!isScalar(key)) {
      this.#refuse(node, 'is a key that is no text', 'write it as text')
      return textOf('')
    }
    if (isPlain(node) && node.source === '') this.#refuse(node, 'is a key without a name', 'name it')
    if (isSecretValue(key.value))
      this.#refuse(node, 'is a key that has the form of a secret', 'name it, and write the secret as its value')
    addSpilled(key, spilled)
    return key
  }

  #merged(pair: { readonly key: unknown; readonly value: unknown }, depth: number): readonly Entry[] {
    const value = this.#value(pair.value, depth + 1)
    const groups = isSeq(value) ? value.items : [value]
    return groups.flatMap((group) => {
      if (isMap(group)) return group.items
      this.#refuse(pair.key, 'merges what is no group of keys', 'merge groups alone')
      return []
    })
  }

  #checkTag(node: YAMLMap | YAMLSeq, own: string): void {
    if (node.tag !== undefined && node.tag !== '!' && node.tag !== `tag:yaml.org,2002:${own}`)
      this.#refuse(node, 'has a tag that says nothing here', 'take the tag away')
  }

  #takeSpilled() {
    const spilled = this.#spilled
    this.#spilled = null
    return spilled
  }

  /** The comment at the end of a group or list, as far as it is indented like it. */
  #ownEnd({ comment, range, flow }: YAMLMap | YAMLSeq): string | null {
    if (!comment || !range || flow) return comment ?? null
    const column = range[0] - (this.#source.lastIndexOf('\n', range[0] - 1) + 1)
    const lines = this.#source.slice(range[1], range[2]).split('\n')
    const written = lines.filter((line) => line.trim() !== '')
    const own = written.findIndex((line) => line.search(/\S/) < column)
    if (own === -1) return comment
    const kept = comment.split('\n')
    let end = 0
    for (let seen = 0; end < kept.length && (seen < own || kept[end] === ''); end++) if (kept[end] !== '') seen++
    this.#spilled = { comment: joinComments(this.#spilled?.comment, kept.slice(end).join('\n')) }
    return kept.slice(0, end).join('\n').trimEnd() || null
  }
}

function isPlain(node: unknown): node is Scalar {
  return isScalar(node) && node.type === Scalar.PLAIN
}

function isMergeKey(key: unknown): boolean {
  return isPlain(key) && key.value === '<<'
}

function addSpilled(node: Node, spilled: { readonly comment: string | null } | null): void {
  if (spilled === null) return
  node.commentBefore = joinComments(spilled.comment, node.commentBefore)
  node.spaceBefore = true
}

/** A comment beside an anchor is not one on everything that refers to it. */
function withOwnComment(value: Value, { comment, commentBefore, spaceBefore }: Node): Value {
  value.commentBefore = commentBefore ?? null
  value.spaceBefore = spaceBefore ?? false
  value.comment = comment ?? null
  return value
}

function countNodes(value: Value): number {
  if (isScalar(value)) return 1
  const inner = isMap(value) ? value.items.map(({ value }) => value) : value.items
  return inner.reduce((sum, item) => sum + (item === null ? 1 : countNodes(item)), 1)
}
