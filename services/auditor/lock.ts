// One auditor of a host at a time.

import type { InstanceLock } from '@teleclaude/store/contract.ts'
import { acquireInstanceLock } from '@teleclaude/store/open.ts'
import type { AuditorOptions } from './options.ts'

/** @throws StoreError 'lock-held' naming the one that runs */
export function acquireAuditorLock({ host, target }: Pick<AuditorOptions, 'host' | 'target'>): Promise<InstanceLock> {
  // A host's name has no space in it: no daemon's lock is called like this.
  return acquireInstanceLock(target, { host: `auditor of ${host}`, pid: process.pid, program: 'teleclaude auditor' })
}
