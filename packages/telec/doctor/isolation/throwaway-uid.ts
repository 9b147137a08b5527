// A uid that is nobody's, to be nobody with.

import { readFileSync } from 'node:fs'
import { osUserOf } from '@teleclaude/peercred/os-user.ts'
import { exitCodes, Failure } from '../../failure.ts'

/** Unused by the list of ranges of systemd ("Users, Groups, UIDs and GIDs on systemd Systems"), and above the appliance's own. */
const range = { first: 60_800, last: 61_183 } as const

/** @throws Failure where every number is taken */
export function findThrowawayUid(): number {
  const taken = [...readSubordinates('/etc/subuid'), ...readSubordinates('/etc/subgid')]
  const groups = readGroups()
  for (let uid = range.last; uid >= range.first; uid -= 1) {
    const isSubordinate = taken.some(({ start, count }) => uid >= start && uid < start + count)
    if (!isSubordinate && !groups.has(uid) && osUserOf(uid) === null) return uid
  }
  throw new Failure(
    exitCodes.unavailable,
    `cannot find a uid that is nobody's: every one from ${range.first} to ${range.last} has an account, a group, or an owner in ` +
      '/etc/subuid or /etc/subgid',
  )
}

export type Subordinates = { readonly start: number; readonly count: number }

/** Ids that somebody else may use: subuid(5). Those that a directory service gives out are not there. */
export function parseSubordinates(text: string): readonly Subordinates[] {
  return text.split('\n').flatMap((line) => {
    const [, start, count] = /^[^:]*:(\d+):(\d+)$/.exec(line.trim()) ?? []
    return start === undefined ? [] : [{ start: Number(start), count: Number(count) }]
  })
}

function readSubordinates(path: string): readonly Subordinates[] {
  return parseSubordinates(readIfThere(path))
}

/** group(5) */
function readGroups(): ReadonlySet<number> {
  return new Set(
    readIfThere('/etc/group')
      .split('\n')
      .map((line) => Number(line.split(':')[2] ?? Number.NaN)),
  )
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
