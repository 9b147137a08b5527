// Every operation of a store passes here: closing waits for what is under way, and the driver's errors become the contract's.

import { StoreError } from './contract.ts'

export type Run = <T>(operation: () => T | Promise<T>) => Promise<T>
export type Gate = { readonly run: Run; close(): Promise<void> }

/** @param translate what to throw instead of an error of the driver */
export function createGate(where: string, translate: (error: unknown) => unknown): Gate {
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
