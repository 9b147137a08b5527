// What a bench is, and what it is run with.

import type { Finding } from './finding.ts'

export type Run = {
  /** Closed when the bench is over, however it ends. */
  readonly scope: AsyncDisposableStack
  /** Less of everything, for a look in between. */
  readonly isQuick: boolean
  /** Says how far it is. */
  say(text: string): void
}

export type Bench = (run: Run) => Promise<readonly Finding[]>
