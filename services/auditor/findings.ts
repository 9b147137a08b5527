// What a look over the whole log has found: bounded, in the order it was found, and neighbours that have the same fault are one.

import type { AlarmKind } from '@teleclaude/store/audit-contract.ts'
import { AuditAlarm, type EntryRange, entries } from './alarm.ts'

const maxFaults = 100

type Found = {
  readonly kind: AlarmKind
  readonly what: string
  readonly range: EntryRange | null
  /** Whether `what` names the entries by itself. */
  readonly isWhole: boolean
}

export class Findings {
  readonly #found: Found[] = []
  #further = 0

  /** Of one entry: `what` is followed by which. */
  add(kind: AlarmKind, what: string, seq: number): void {
    const index = this.#found.findLastIndex((found) => found.what === what && found.range?.to === seq - 1)
    const last = this.#found[index]
    if (last?.range) this.#found[index] = { ...last, range: { from: last.range.from, to: seq } }
    else this.#put({ kind, what, range: { from: seq, to: seq }, isWhole: false })
  }

  /** @param text names what it is about by itself */
  say(kind: AlarmKind, range: EntryRange | null, text: string): void {
    this.#put({ kind, what: text, range, isWhole: true })
  }

  alarm({ kind, range, message }: AuditAlarm): void {
    this.say(kind, range, message)
  }

  #put(found: Found): void {
    if (this.#found.length < maxFaults) this.#found.push(found)
    else this.#further += 1
  }

  result() {
    const faults = this.#found.map(describe)
    const first = this.#found.find(({ what }) => !what.startsWith('an alarm of '))
    return {
      holds: faults.length === 0,
      faults,
      furtherFaults: this.#further,
      /** The first of them; null where all holds. */
      alarm: first === undefined ? null : new AuditAlarm(first.kind, first.range, describe(first)),
    }
  }
}

function describe({ what, range, isWhole }: Found): string {
  return isWhole || range === null ? what : `${what}: ${entries(range.from, range.to)}`
}
