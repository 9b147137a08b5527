// What is known of each key beside its form: messages, the reference page, editors and `config show` all take it from here.

import { z } from 'zod'

export type KeyFacts = {
  /** A sentence or two, for whoever writes the key. */
  readonly description: string
  /** What to do about a wrong value: goes on after "; ". */
  readonly mend: string
  /** When a change of it takes effect. Only on keys with a value of their own, and on lists as a whole. */
  readonly applies?: 'live' | 'restart' | 'next command'
  /** The variable of the environment, or of the file .env, that comes before the file. */
  readonly variable?: string
  /** `NAME_FILE` may name a file that holds the value: plain text, or a secret that nobody else may read. */
  readonly fromFile?: 'text' | 'secret'
}

export const keyFacts = z.registry<KeyFacts>()

export function key<Schema extends z.ZodType>(schema: Schema, facts: KeyFacts): Schema {
  keyFacts.add(schema, facts)
  return schema
}

/** What is said of a value: one that is not there is not a wrong one. */
export function says(problem: string) {
  return { error: ({ input }: { readonly input?: unknown }) => (input === undefined ? 'is missing' : problem) }
}

export const noGroup = says('is no group of keys')

/** What an older or another program has left: kept in the file, of no effect. */
export const legacy = key(z.unknown().optional(), {
  description:
    'Whatever has no meaning here, such as what `telec config split` found no place for. Kept and never used.',
  mend: 'take it away',
})
