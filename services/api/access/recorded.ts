// What has to be on the record, and safe there as the policy asks, before anything comes of it.

import type { AuditEvent } from '@teleclaude/core/audit.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import { StoreError } from '@teleclaude/store/contract.ts'
import { record } from '../audit/record.ts'
import type { Service } from '../service.ts'

type Recording = Pick<Service, 'store' | 'host' | 'assurance'>

/** Records it, and waits until that is safe.
 *  @param what completes "cannot ...": what is not done where this fails
 *  @throws ProblemError 'not-recorded': it is not on the record, or nobody knows whether it is, or it is not safe there yet */
export async function recordFirst(service: Recording, what: string, event: AuditEvent): Promise<void> {
  const seq = await orNotRecorded(what, record(service, event))
  await orNotRecorded(what, service.assurance.untilSafe(seq))
}

/** @throws ProblemError 'not-recorded' where the store failed */
export async function orNotRecorded<Result>(what: string, storing: Promise<Result>): Promise<Result> {
  try {
    return await storing
  } catch (cause) {
    if (!(cause instanceof StoreError)) throw cause
    throw new ProblemError('not-recorded', `cannot ${what}: it can't be recorded now; try again in a moment`, { cause })
  }
}
