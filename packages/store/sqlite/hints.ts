// Hints that there may be news, within this process: one service has the file, and whoever else writes to it tells nobody.

import type { Hint, Listening } from '../contract.ts'

const hints: readonly Hint[] = ['commands', 'events', 'access', 'auditor']
type Listener = { readonly onHint: (what: Hint) => void }

export function createHints() {
  const listeners = new Set<Listener>()

  /** In a turn of its own: whoever told has its answer first, and what a listener throws is not the teller's. */
  function tellLater(listener: Listener, what: Hint): void {
    setImmediate(() => {
      if (listeners.has(listener)) listener.onHint(what)
    })
  }

  return {
    /** Only after the commit. */
    tell(what: Hint): void {
      for (const listener of listeners) tellLater(listener, what)
    },
    /** Nobody hears anything any more. */
    silence(): void {
      listeners.clear()
    },
    listen(onHint: (what: Hint) => void): Listening {
      const listener = { onHint }
      listeners.add(listener)
      // Whatever came before.
      for (const what of hints) tellLater(listener, what)
      return {
        async close() {
          listeners.delete(listener)
        },
      }
    },
  }
}
