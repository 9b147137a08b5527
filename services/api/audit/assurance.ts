// What the configuration asks of the audit log before somebody else's content is shown: that the auditor has found nothing wrong with
// it, and that what is being done is safe there. Where that can't be had, nothing is shown.

import { setTimeout as delay } from 'node:timers/promises'
import type { AuditPolicy } from '@teleclaude/config/load.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { AuditorWatch } from './auditor-watch.ts'
import type { LogSigner } from './log-signer.ts'

const defaultMaxWaitMs = 5_000
/** A hint of the auditor can get lost. */
const lookEveryMs = 250

export type AssuranceOptions = {
  readonly policy: () => AuditPolicy
  readonly watch: Pick<AuditorWatch, 'alarms' | 'cosignedSize' | 'fault' | 'look' | 'next'>
  readonly signer: Pick<LogSigner, 'sign' | 'fault'>
  /** For the auditor. */
  readonly maxWaitMs?: number
}

export class Assurance {
  readonly #options: AssuranceOptions

  constructor(options: AssuranceOptions) {
    this.#options = options
  }

  /** @throws ProblemError 'audit-alarm' where that is to be refused while nobody has looked at an alarm */
  requireCalm(): void {
    const { policy, watch, signer } = this.#options
    if (policy().onAlarm === 'warn') return
    const [alarm] = watch.alarms
    const why = alarm?.message ?? signer.fault ?? watch.fault
    if (why === null) return
    throw new ProblemError(
      'audit-alarm',
      'cannot show content of others: something is wrong with the audit log, and nobody has looked yet; see telec audit alarms',
    )
  }

  /** Resolves once the entry of that number, and all before it, are as safe as the configuration asks: at once where a commit is
   *  enough, or when the auditor has cosigned them.
   *  @throws ProblemError 'not-recorded' where the auditor does not do so in time; StoreError */
  async untilSafe(seq: number): Promise<void> {
    const { policy, watch, signer, maxWaitMs = defaultMaxWaitMs } = this.#options
    if (policy().require === 'committed') return
    const over = new AbortController()
    const late = delay(maxWaitMs, true, { ref: false, signal: over.signal }).catch(() => true)
    try {
      const isLate = await Promise.race([this.#untilCosigned(seq, over.signal), late])
      if (isLate) throw notCosigned(maxWaitMs, watch.alarms.length > 0 || signer.fault !== null || watch.fault !== null)
    } finally {
      over.abort()
    }
  }

  /** Whether it will not be. */
  async #untilCosigned(seq: number, over: AbortSignal): Promise<boolean> {
    const { watch, signer } = this.#options
    await signer.sign()
    // Of a log that was set back, what was cosigned under this number was another entry.
    if (signer.fault !== null) return true
    while (watch.cosignedSize < seq && !over.aborted) {
      // Asked for before the look, so that nothing that comes in between is missed.
      await Promise.race([watch.next(), delay(lookEveryMs, undefined, { ref: false })])
      if (watch.cosignedSize < seq) await watch.look()
    }
    return false
  }
}

function notCosigned(maxWaitMs: number, isAlarmed: boolean): ProblemError {
  const why = isAlarmed
    ? 'something is wrong with the audit log, and nobody signs for it until that is settled; see telec audit alarms'
    : `the auditor has not signed for it within ${maxWaitMs / 1000} s, and audit.require asks for that; see telec audit state`
  return new ProblemError('not-recorded', `cannot show content: ${why}`)
}
