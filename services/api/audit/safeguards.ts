// What keeps even this service from doing harm, tried and not believed.

import type { Safeguards } from '@teleclaude/core/api.ts'
import type { Tampering } from '@teleclaude/store/audit-contract.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'

/** An attempt takes a connection of its own and the log's head for some milliseconds: whoever asks often must not keep
 *  others from recording. */
const freshMs = 5_000

type Attempt = { readonly untilMs: number; readonly done: Promise<readonly Tampering[]> }
const attempts = new WeakMap<Store, Attempt>()

export async function readSafeguards({ service }: { readonly service: Service }): Promise<Answer> {
  const done = await tryTampering(service)
  const isAppendOnly = done.length === 0
  if (!isAppendOnly) service.log.error({ done }, 'the audit log can be changed by this service')
  const what = isAppendOnly
    ? "the api's database role can't change or delete entries (tried)"
    : `DANGER: the api's database role can ${done.join(' and ')} entries (tried, and taken back)`
  const json: Safeguards = { checks: [{ check: 'audit-append-only', ok: isAppendOnly, what }] }
  return { status: 200, json }
}

function tryTampering({ store, host }: Service): Promise<readonly Tampering[]> {
  const last = attempts.get(store)
  if (last !== undefined && performance.now() < last.untilMs) return last.done
  const done = store.audit.tryTampering(host)
  attempts.set(store, { untilMs: performance.now() + freshMs, done })
  done.catch(() => attempts.delete(store))
  return done
}
