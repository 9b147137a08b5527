// `${NAME}` in an original: filled in from its .env.

import { ConfigError } from '../config-error.ts'

export type Variables = ReadonlyMap<string, string>

const reference = /\$\{([A-Za-z_]\w*)\}/g
const wholeReference = /^\$\{([A-Za-z_]\w*)\}$/
/** Three lines can ask for gigabytes. */
const maxLength = 64 * 1024

export function namesIn(text: string): readonly string[] {
  return [...text.matchAll(reference)].map(([, name = '']) => name)
}

/** The variable that a text consists of, or null. */
export function wholeName(text: string): string | null {
  return wholeReference.exec(text)?.[1] ?? null
}

/** What is not set, or set to nothing, stays as it is written.
 *  @throws ConfigError where it becomes too long; `key` in `file` is where the text is */
export function fillIn(text: string, variables: Variables, file: string, key: string): string {
  const length = namesIn(text).reduce((sum, name) => sum + (variables.get(name)?.length ?? 0), text.length)
  if (length > maxLength && length > text.length) {
    const problem = `becomes longer than ${maxLength} characters with its variables filled in`
    throw new ConfigError([{ file, line: 1, column: 1, key, problem, mend: 'write it out' }])
  }
  return text.replaceAll(reference, (written, name) => variables.get(name) || written)
}

/** Each may refer to those above it.
 *  @throws ConfigError */
export function resolveVariables(written: Variables, file: string): Variables {
  const variables = new Map<string, string>()
  for (const [name, text] of written) variables.set(name, fillIn(text, variables, file, name))
  return variables
}
