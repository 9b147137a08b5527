// From what a schema says of a file to faults for a person: each at its place, with what was meant and what to do.

import { z } from 'zod'
import type { ConfigFault } from '../config-error.ts'
import { suggest } from '../suggest.ts'
import type { KeyPath, Yaml } from '../yaml.ts'
import { type KeyFacts, keyFacts } from './facts.ts'
import { isSecretKey, isSecretValue } from './looks-secret.ts'

/** The part of JSON Schema that zod makes of our schemas, with the facts of each key in it. */
export type SchemaNode = Partial<KeyFacts> & {
  readonly type?: string
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly additionalProperties?: SchemaNode | boolean
  readonly items?: SchemaNode
  readonly anyOf?: readonly SchemaNode[]
  readonly enum?: readonly unknown[]
  readonly default?: unknown
}

const nodes = new WeakMap<z.ZodType, SchemaNode>()

/** What may be written: before defaults and conversions. */
export function describeSchema(schema: z.ZodType): SchemaNode {
  const known = nodes.get(schema)
  if (known !== undefined) return known
  const made = z.toJSONSchema(schema, { io: 'input', metadata: keyFacts, unrepresentable: 'any' }) as SchemaNode
  nodes.set(schema, made)
  return made
}

export type FileSchema = {
  readonly schema: z.ZodType
  /** Says what a key that is not known here is elsewhere, or null. */
  readonly explainKey?: (key: string) => { readonly problem: string; readonly mend: string } | null
  /** A file of secrets alone may hold what looks like one. */
  readonly holdsSecrets?: true
}

const secretMend =
  'take it out of this file and, if others could read it, get a new one; a secret that a service needs goes into secrets.yml, with { secret: NAME } here'

/** Everything that is wrong with a file's value. An empty list: the schema takes it. */
export function findFaults(yaml: Yaml, { schema, explainKey, holdsSecrets }: FileSchema): readonly ConfigFault[] {
  const value = yaml.value ?? {}
  const issues = schema.safeParse(value).error?.issues ?? []
  return [
    ...issues.flatMap((issue) => explain(yaml, describeSchema(schema), issue, [], explainKey)),
    ...(holdsSecrets ? [] : findSecrets(yaml, value, [])),
  ]
}

function explain(
  yaml: Yaml,
  root: SchemaNode,
  issue: z.core.$ZodIssue,
  before: KeyPath,
  explainKey: FileSchema['explainKey'],
): readonly ConfigFault[] {
  const path = [...before, ...issue.path]
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(nodesAt(root, path))
    return issue.keys.map((key) => {
      const place = yaml.placeOfKey(path, key)
      // A secret is refused by what it is: see findSecrets.
      const elsewhere = path.length === 0 ? (explainKey?.(key) ?? null) : null
      if (elsewhere !== null) return { ...place, ...elsewhere }
      if (isSecretKey(key))
        return { ...place, problem: 'is no key that is known here, and by its name a secret', mend: secretMend }
      const meant = suggest(key, known)
      const mend = meant === null ? `there are ${known.join(', ')}` : `did you mean ${meant}?`
      return { ...place, problem: 'is no key that is known here', mend }
    })
  }
  if (issue.code === 'invalid_key') {
    const at = path.at(-1)
    const mend = mendAt(root, path.slice(0, -1))
    return [
      { ...yaml.placeOfKey(path.slice(0, -1), String(at)), problem: issue.issues[0]?.message ?? 'is no key', mend },
    ]
  }
  if (issue.code === 'invalid_union') {
    // The branch that went furthest is the one that was meant.
    const depth = (issues: readonly z.core.$ZodIssue[]) => Math.max(0, ...issues.map(({ path }) => path.length))
    const [meant = []] = [...issue.errors].sort((one, other) => depth(other) - depth(one))
    return meant.flatMap((inner) => explain(yaml, root, inner, path, explainKey))
  }
  return [{ ...yaml.place(path), problem: issue.message, mend: mendAt(root, path) }]
}

/** What is known of the key at a path; nothing of one that there is not. */
export function factsAt(schema: z.ZodType, path: readonly string[]): Partial<KeyFacts> {
  return nodesAt(describeSchema(schema), path)[0] ?? {}
}

/** The nodes that a path leads to; more than one where a value may be one thing or another. */
function nodesAt(root: SchemaNode, path: KeyPath): readonly SchemaNode[] {
  return path.reduce<readonly SchemaNode[]>(
    (at, step) =>
      at.flatMap(alternatives).flatMap((node) => {
        const next =
          typeof step === 'number' ? node.items : (node.properties?.[String(step)] ?? node.additionalProperties)
        return typeof next === 'object' ? [next] : []
      }),
    [root],
  )
}

function alternatives(node: SchemaNode): readonly SchemaNode[] {
  return [node, ...(node.anyOf ?? []).flatMap(alternatives)]
}

function knownKeys(at: readonly SchemaNode[]): readonly string[] {
  return at.flatMap(alternatives).flatMap((node) => Object.keys(node.properties ?? {}))
}

/** Of the nearest key around the place that has one. */
function mendAt(root: SchemaNode, path: KeyPath): string {
  for (let length = path.length; length > 0; length--) {
    const mend = nodesAt(root, path.slice(0, length)).find((node) => node.mend !== undefined)?.mend
    if (mend !== undefined) return mend
    const known = knownKeys(nodesAt(root, path.slice(0, length)))
    if (known.length > 0) return `write one or more of ${known.join(', ')} below it, each with a colon behind it`
  }
  return `write one or more of ${knownKeys([root]).join(', ')}, each with a colon behind it`
}

function findSecrets(yaml: Yaml, value: unknown, path: KeyPath): readonly ConfigFault[] {
  if (typeof value === 'string') {
    return isSecretValue(value) ? [{ ...yaml.place(path), problem: 'looks like a secret', mend: secretMend }] : []
  }
  if (Array.isArray(value)) return value.flatMap((item, index) => findSecrets(yaml, item, [...path, index]))
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => findSecrets(yaml, inner, [...path, key]))
}
