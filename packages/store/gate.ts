// Every operation of a store passes here: nothing is done while the instance's lock is not held, what is under way when it
// goes is given up (a frozen server never answers), closing waits for the rest, and the driver's errors become the contract's.

import { type InstanceLock, StoreError } from './contract.ts'

export type Run = <T>(operation: () => T | Promise<T>) => Promise<T>
export type Gate = { readonly run: Run; close(): Promise<void> }

/** @param translate what to throw instead of an error of the driver
 *  @param lock null for a store that is used without being the host's one instance */
export function createGate(
  where: string,
  translate: (error: unknown) => unknown,
  lock: Pick<InstanceLock, 'requireHeld' | 'onAway'> | null,
): Gate {
  const underWay = new Set<Promise<unknown>>()
  const givingUp = new Set<(why: StoreError) => void>()
  let closed = false
  lock?.onAway((why) => {
    for (const giveUp of givingUp) giveUp(why)
  })

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
      const { promise: givenUp, reject: giveUp } = Promise.withResolvers<never>()
      const outcome = Promise.race([attempt(operation), givenUp])
      givingUp.add(giveUp)
      underWay.add(outcome)
      try {
        return await outcome
      } finally {
        givingUp.delete(giveUp)
        underWay.delete(outcome)
      }
    },
    async close() {
      closed = true
      await Promise.allSettled(underWay)
    },
  }
}
