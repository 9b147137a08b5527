// The reference of all keys for docs/config.md, from the schemas that check them.

import type { z } from 'zod'
import { describeSchema, type SchemaNode } from './explain.ts'

type Row = { readonly key: string; readonly node: SchemaNode }

/** A table in Markdown: every key that has something to say. */
export function renderReference(schema: z.ZodType): string {
  const rows = findKeys(describeSchema(schema), '')
  const lines = rows.map(
    ({ key, node }) => `| \`${key}\` | ${cell(describe(node))} | ${variables(node)} | ${node.applies ?? ''} |`,
  )
  return ['| key | what it is | environment | a change counts |', '| --- | --- | --- | --- |', ...lines].join('\n')
}

function findKeys(node: SchemaNode, path: string): readonly Row[] {
  const own = path !== '' && node.description !== undefined ? [{ key: path, node }] : []
  return [...own, ...alternatives(node).flatMap((each) => findInside(each, path, own.length > 0))]
}

function alternatives(node: SchemaNode): readonly SchemaNode[] {
  return node.anyOf === undefined ? [node] : node.anyOf.flatMap(alternatives)
}

function findInside(node: SchemaNode, path: string, isDescribed: boolean): readonly Row[] {
  const inner = (name: string) => (path === '' ? name : `${path}.${name}`)
  const named = Object.entries(node.properties ?? {}).flatMap(([name, each]) =>
    // How a secret is referred to is said once, in the text.
    name === 'secret' ? [] : findKeys(each, inner(name)),
  )
  const rest = node.additionalProperties
  const free = typeof rest === 'object' ? findKeys(rest, inner('NAME')) : []
  const items = node.items === undefined || isSimple(node.items) ? [] : findKeys(node.items, `${path}[]`)
  return isDescribed && named.length + free.length + items.length === 0 ? [] : [...named, ...free, ...items]
}

function isSimple(node: SchemaNode): boolean {
  return node.properties === undefined && node.anyOf === undefined
}

function describe({ description = '', default: fallback }: SchemaNode): string {
  return fallback === undefined ? description : `${description} Default: ${JSON.stringify(fallback)}.`
}

function variables({ variable, fromFile }: SchemaNode): string {
  if (variable === undefined) return ''
  return fromFile === undefined ? `\`${variable}\`` : `\`${variable}\`, \`${variable}_FILE\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
