// What editors complete and check with: JSON Schema of each kind of file, without what only we know of a key.

import type { z } from 'zod'
import { describeSchema, type SchemaNode } from './explain.ts'
import { personalSchema, singleUserSchema } from './personal.ts'
import { secretsSchema } from './secrets.ts'
import { systemSchema } from './system.ts'

export const schemaNames = ['system', 'single-user', 'personal', 'secrets'] as const
export type SchemaName = (typeof schemaNames)[number]

export const fileSchemas: Readonly<Record<SchemaName, { readonly schema: z.ZodType; readonly title: string }>> = {
  system: { schema: systemSchema, title: "TeleClaude: the machine's configuration" },
  'single-user': { schema: singleUserSchema, title: 'TeleClaude for yourself alone' },
  personal: { schema: personalSchema, title: 'TeleClaude: your own preferences' },
  secrets: { schema: secretsSchema, title: 'TeleClaude: secrets by name' },
}

const factNames = ['mend', 'applies', 'variable', 'fromFile']

/** JSON Schema 2020-12. */
export function jsonSchema(name: SchemaName): object {
  const { schema, title } = fileSchemas[name]
  return withoutFacts({ title, ...describeSchema(schema) })
}

function withoutFacts(node: SchemaNode & { readonly title?: string }): object {
  const entries = Object.entries(node).filter(([name]) => !factNames.includes(name))
  return Object.fromEntries(
    entries.map(([name, value]) => {
      if (name === 'properties') return [name, mapValues(node.properties ?? {}, withoutFacts)]
      if (name === 'anyOf') return [name, node.anyOf?.map(withoutFacts)]
      const isSchema = name === 'items' || name === 'additionalProperties'
      return [name, isSchema && typeof value === 'object' ? withoutFacts(value as SchemaNode) : value]
    }),
  )
}

function mapValues<Value, Result>(
  record: Readonly<Record<string, Value>>,
  change: (value: Value) => Result,
): Record<string, Result> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}
