// Reads the .env of an original. dotenv says what a variable is; whatever it would pass over, and whatever dotenv of Python, which
// the original used, reads in another way, is refused: a password that loses its end on the way would be noticed much later.

import { parse } from 'dotenv'
import { ConfigError, type ConfigFault } from '../config-error.ts'
import { entryOf, groupOf, textOf } from './nodes.ts'
import { type Original, readText } from './read-original.ts'

const blank = /[^\S\n]*(?:#(?<comment>[^\n]*))?(?:\n|$)/y
const assignment =
  /[^\S\n]*(?:export[^\S\n]+)?(?<name>[\w.-]+)[^\S\n]*=[^\S\n]*(?<value>'[^']*'|"(?:\\"|[^"])*"|[^#\n]*)[^\S\n]*(?:#(?<comment>[^\n]*))?(?:\n|$)/y

/** Each value as it is written, `${NAME}` and all. Of dotenv's two parsers only the fast one takes a time that grows with the
 *  text, and not with its square.
 *  @throws ConfigError with everything that is wrong with it */
export function readOriginalEnvironment(file: string, option: string): Original {
  const text = readText(file, option)
  const values = parse(text, { fast: true })
  const faults: ConfigFault[] = []
  const root = groupOf([])
  const names = new Set<string>()
  let before: string[] = []
  let line = 1
  for (let offset = 0; offset < text.length; ) {
    const refuse = (problem: string, mend: string) => faults.push({ file, line, column: 1, key: '', problem, mend })
    const found = matchAt(blank, text, offset) ?? matchAt(assignment, text, offset)
    const { name, value: written = '', comment } = found?.groups ?? {}
    if (found === null || (name !== undefined && !Object.hasOwn(values, name))) {
      refuse('is no assignment', 'write NAME=value')
    } else if (name === undefined) {
      if (comment !== undefined) before.push(comment)
    } else {
      const fault = findAmbiguity(written, comment)
      if (fault !== null) refuse(`${name} ${fault.problem}`, fault.mend)
      if (names.has(name)) refuse(`${name} is set again`, 'keep one of them')
      names.add(name)
      const value = textOf(values[name] ?? '')
      value.comment = comment ?? null
      const entry = entryOf(name, value)
      entry.key.commentBefore = before.join('\n') || null
      root.items.push(entry)
      before = []
    }
    const end = found === null ? text.indexOf('\n', offset) + 1 || text.length : offset + found[0].length
    line += text.slice(offset, end).split('\n').length - 1
    offset = end
  }
  if (faults.length > 0) throw new ConfigError(faults)
  return { file, text, root, comments: { before: null, after: before.join('\n') || null } }
}

function matchAt(form: RegExp, text: string, offset: number): RegExpExecArray | null {
  form.lastIndex = offset
  return form.exec(text)
}

function findAmbiguity(written: string, comment: string | undefined) {
  const quote = /^["'`]/.exec(written)?.[0]
  if (quote === undefined) {
    if (comment === undefined || /\s$/.test(written)) return null
    return { problem: 'has a # that begins a comment for some programs, and not for others', mend: "write it in '" }
  }
  if (quote === '`')
    return { problem: 'begins with `, which not every program takes for a quote', mend: "write it in '" }
  const inner = written.slice(1, -1)
  if (written.length < 2 || !written.endsWith(quote) || inner.includes(quote))
    return {
      problem: 'has a quote that does not end, or something behind it',
      mend: 'end it, and write nothing behind it',
    }
  // Alike in both: \n in double quotes.
  if ((quote === '"' ? inner.replaceAll('\\n', '') : inner).includes('\\'))
    return { problem: 'has a \\ in quotes, which programs read in different ways', mend: 'write it without quotes' }
  return null
}
