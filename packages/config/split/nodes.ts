// The tree that an original is read into and the layers are made of: nodes of YAML with their comments, where every scalar is
// the text that it was written as. No number is rounded and no word turns into a switch on the way.

import { Document, isMap, isScalar, type Node, Pair, parse, Scalar, Schema, YAMLMap, type YAMLSeq } from 'yaml'
import type { KeyPath } from '../yaml.ts'

export type Text = Scalar<string>
export type Group = YAMLMap<Text, Value>
export type List = YAMLSeq<Value>
export type Value = Text | Group | List
export type Entry = Pair<Text, Value>

const core = new Schema({ schema: 'core' })

export type ScalarKind = 'text' | 'number' | 'word'

/** As YAML 1.2 reads the characters without quotes: `word` is null, true or false. */
function kindOfPlain(text: string): ScalarKind {
  const tag = core.tags.find((tag) => tag.default === true && 'test' in tag && tag.test?.test(text))?.tag
  if (tag === undefined) return 'text'
  return tag.endsWith(':null') || tag.endsWith(':bool') ? 'word' : 'number'
}

export function kindOf(text: Text): ScalarKind {
  return text.type === Scalar.PLAIN ? kindOfPlain(text.value) : 'text'
}

/** Null. */
export function nothing(): Text {
  const made = new Scalar('null')
  made.type = Scalar.PLAIN
  return made
}

/** A scalar that reads back as this text, with quotes only where it needs them. */
export function textOf(value: string, type: Scalar.Type = Scalar.PLAIN): Text {
  const made = new Scalar(value)
  made.type = type === Scalar.PLAIN && kindOfPlain(value) !== 'text' ? Scalar.QUOTE_DOUBLE : type
  return made
}

export function quoted(value: string): Text {
  return textOf(value, Scalar.QUOTE_DOUBLE)
}

export function groupOf(entries: readonly Entry[]): Group {
  const made = new YAMLMap<Text, Value>()
  made.items = [...entries]
  return made
}

export function entryOf(key: string, value: Value): Entry {
  return new Pair<Text, Value>(textOf(key), value)
}

export function valueIn(entry: Entry): Value {
  return entry.value ?? nothing()
}

export function findEntry(group: Group, key: string): Entry | undefined {
  return group.items.find((entry) => entry.key.value === key)
}

/** `{ secret: NAME }` */
export function referenceTo(name: string): Group {
  const made = groupOf([entryOf('secret', textOf(name))])
  made.flow = true
  return made
}

/** The name that `{ secret: NAME }` refers to, or null where the value is something else. */
export function referredName(value: Value): string | null {
  if (!isMap(value) || value.items.length !== 1) return null
  const name = findEntry(value, 'secret')?.value
  return isScalar(name) && kindOf(name) === 'text' ? name.value : null
}

/** All that are referred to in a value. */
export function referredNames(value: Value): readonly string[] {
  const name = referredName(value)
  if (name !== null) return [name]
  if (isScalar(value)) return []
  return isMap(value)
    ? value.items.flatMap((entry) => referredNames(valueIn(entry)))
    : value.items.flatMap(referredNames)
}

export function withComments<Made extends Node>(made: Made, { comment, commentBefore, spaceBefore }: Node): Made {
  made.comment = comment ?? null
  made.commentBefore = commentBefore ?? null
  made.spaceBefore = spaceBefore ?? false
  return made
}

export type Leaf = { readonly text: Text; readonly path: KeyPath }

/** Every scalar below a value, in the order of the file. */
export function* leavesOf(value: Value, path: KeyPath): Generator<Leaf> {
  if (isScalar(value)) yield { text: value, path }
  else if (isMap(value)) for (const entry of value.items) yield* leavesOf(valueIn(entry), [...path, entry.key.value])
  else for (const [index, item] of value.items.entries()) yield* leavesOf(item, [...path, index])
}

export type Comments = { readonly before: string | null; readonly after: string | null }

export function joinComments(one: string | null | undefined, other: string | null | undefined): string | null {
  return [one, other].filter((part) => part).join('\n') || null
}

/** The text of a file. */
export function printFile(root: Group, { before, after }: Comments): string {
  if (root.items.length > 0) return print(root, { before, after })
  // There would be a `{}`, which nobody who adds a key knows what to do with.
  const comments = [before, after].flatMap((comment) => (comment === null ? [] : [comment.replaceAll(/^(?=.)/gm, '#')]))
  return `${comments.join('\n\n')}\n`
}

function print(value: Value, { before, after }: Comments): string {
  const document = new Document<Value>(undefined, { schema: 'failsafe' })
  document.contents = value
  document.commentBefore = before
  document.comment = after
  return document.toString({ lineWidth: 0, doubleQuotedMinMultiLineLength: Number.MAX_SAFE_INTEGER })
}

/** As whoever reads the file gets it. */
export function toPlain(value: Value): unknown {
  return parse(print(value, { before: null, after: null }))
}

/** As it is shown: people[0].name */
export function showPath(path: KeyPath): string {
  return path.reduce<string>(
    (shown, step) =>
      typeof step === 'number' ? `${shown}[${step}]` : `${shown}${shown === '' ? '' : '.'}${String(step)}`,
    '',
  )
}
