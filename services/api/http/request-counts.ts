// How many requests were answered, by what they asked for and how: nothing of who asked, or about what.

import type { Action } from '@teleclaude/core/policy.ts'

export type RequestCount = { readonly action: Action; readonly code: number; readonly count: number }

export class RequestCounts {
  readonly #counts = new Map<Action, Map<number, number>>()

  note(action: Action, code: number): void {
    let codes = this.#counts.get(action)
    if (codes === undefined) {
      codes = new Map()
      this.#counts.set(action, codes)
    }
    codes.set(code, (codes.get(code) ?? 0) + 1)
  }

  *list(): Generator<RequestCount> {
    for (const [action, codes] of this.#counts) for (const [code, count] of codes) yield { action, code, count }
  }
}
