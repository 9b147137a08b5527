// Hints that there may be news, within this process: one service has the file, and whoever else writes to it tells nobody.

import type { Listening } from '../contract.ts'

type What = 'commands' | 'events'
type Listener = { readonly onHint: (what: What) => void }

export function createHints() {
  const listeners = new Set<Listener>()

  /** In a turn of its own: whoever told has its answer first, and what a listener throws is not the teller's. */
  function tellLater(listener: Listener, what: What): void {
    setImmediate(() => {
      if (listeners.has(listener)) listener.onHint(what)
    })
  }

  return {
    /** Only after the commit. */
    tell(what: What): void {
      for (const listener of listeners) tellLater(listener, what)
    },
    /** Nobody hears anything any more. */
    silence(): void {
      listeners.clear()
    },
    listen(onHint: (what: What) => void): Listening {
      const listener = { onHint }
      listeners.add(listener)
      // Whatever came before.
      tellLater(listener, 'commands')
      tellLater(listener, 'events')
      return {
        async close() {
          listeners.delete(listener)
        },
      }
    },
  }
}
