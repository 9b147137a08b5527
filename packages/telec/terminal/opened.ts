// Somebody else has opened the session: in words, for the person at a terminal that shows it.

import type { ToViewer } from '@teleclaude/core/link.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { clock } from '../output/time.ts'

/** It is not to be missed. */
export const accessNoticeMs = 8_000

/** In one line, safe to print. */
export function describeAccess({ state, grantee, reason, drive, until }: ToViewer & { type: 'access' }): string {
  const who = neutralise(grantee)
  if (state === 'ended') return `${who} can not open this session any more. All of it: telec notices`
  const may = drive ? 'may look and type' : 'may look'
  return `${who} opened this session and ${may} until ${clock(until)}: ${neutralise(reason)}`
}
