// Gives back the memory that starting took and serving does not need. Left to itself, V8 keeps it until some busy hour: what idles
// allocates nothing, and so nothing is collected.

import { flushCompileCache } from 'node:module'

/** By then those who waited for the start have had their answers. */
const settledMs = 3_000

/** Once, for some 40 ms, where Node was started with `--expose-gc`. @returns what calls it off */
export function giveBackSoon(delayMs = settledMs): () => void {
  const collect = globalThis.gc
  if (collect === undefined) return () => undefined
  const timer = setTimeout(() => {
    // First, because functions that nobody calls lose their code now: what is written later would be without them.
    flushCompileCache()
    collect({ type: 'major', flavor: 'last-resort' })
  }, delayMs).unref()
  return () => clearTimeout(timer)
}
