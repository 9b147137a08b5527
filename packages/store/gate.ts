// Every operation of a store passes here: nothing is done while the instance's lock is not held, closing waits for what is
// under way, and the driver's errors become the contract's.

import { type InstanceLock, StoreError } from './contract.ts'

export type Run = <T>(operation: () => T | Promise<T>) => Promise<T>
export type Gate = { readonly run: Run; close(): Promise<void> }

/** @param translate what to throw instead of an error of the driver
 *  @param lock null for a store that is used without being the host's one instance */
export function createGate(
  where: string,
  translate: (error: unknown) => unknown,
  lock: Pick<InstanceLock, 'requireHeld'> | null,
): Gate {
  const underWay = new Set<Promise<unknown>>()
  let closed = false

  async function attempt<T>(operation: () => T | Promise<T>): Promise<T> {
    try {
      return await operation()
    } catch (error) {
      throw translate(error)
    }
  }

  return {
    async run(operation) {
      if (closed) throw new StoreError('unavailable', `cannot use ${where}: it was closed`)
      lock?.requireHeld()
      const outcome = attempt(operation)
      underWay.add(outcome)
      try {
        return await outcome
      } finally {
        underWay.delete(outcome)
      }
    },
    async close() {
      closed = true
      await Promise.allSettled(underWay)
    },
  }
}
