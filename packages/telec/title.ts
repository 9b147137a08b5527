// What lists call a session that nobody gave a title.

import { basename } from 'node:path'
import type { titleFields } from '@teleclaude/config/schema/personal.ts'
import { maxTitleLength } from '@teleclaude/core/session.ts'
import type { Program } from './program.ts'

type TitleField = (typeof titleFields)[number]

export type TitleFacts = Pick<Program, 'argv' | 'agent' | 'mode'> & {
  /** Absolute paths. */
  readonly project: string
  readonly directory: string
}

/** The format with its fields filled in, in one line with single blanks; the program's name where nothing is left of it. */
export function makeTitle(format: string | undefined, facts: TitleFacts): string {
  const program = basename(facts.argv[0])
  const values = new Map<string, string>(
    Object.entries({
      program,
      agent: facts.agent ?? '',
      mode: facts.mode ?? '',
      project: basename(facts.project),
      directory: basename(facts.directory),
    } satisfies Record<TitleField, string>),
  )
  const filled = (format ?? '').replaceAll(/\{(\w+)\}/g, (written, field: string) => values.get(field) ?? written)
  return cut(filled.replaceAll(/\s+/g, ' ').trim() || program)
}

/** Never between the two halves of a character: what is left of it would be no text. */
function cut(title: string): string {
  return title.slice(0, maxTitleLength).replace(/[\ud800-\udbff]$/, '')
}
