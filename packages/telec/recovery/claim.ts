// At most one process at a time delivers what a spool holds. A claim is a file `claim-N` that says who; the highest number counts.
// Whoever finds that its holder is gone makes the next number, which only one can, and nobody ever removes the highest: taking
// one that somebody else has just taken anew can't happen.

import { linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { identify, isAlive, type Machine } from './process-identity.ts'
import { isProcess } from './session-file.ts'

const claimName = /^claim-(\d{1,9})$/

/** Whether this process may work on the spool now. */
export function claim(directory: string, machine: Machine): boolean {
  const newest = newestClaim(directory)
  if (newest > 0 && isHeld(directory, newest, machine)) return false
  const own = identify(process.pid)
  if (own === null) return false
  const temporary = join(directory, `claim.${process.pid}`)
  writeFileSync(temporary, JSON.stringify({ machine, process: own }), { mode: 0o600 })
  try {
    // Whole, or not there: it comes with what it says.
    linkSync(temporary, join(directory, `claim-${newest + 1}`))
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    rmSync(temporary, { force: true })
  }
  for (let older = newest; older > 0 && older > newest - 2; older--)
    rmSync(join(directory, `claim-${older}`), { force: true })
  return true
}

/** Whether somebody works on it: then it is in good hands. */
export function isClaimed(directory: string, machine: Machine): boolean {
  const newest = newestClaim(directory)
  return newest > 0 && isHeld(directory, newest, machine)
}

function newestClaim(directory: string): number {
  return Math.max(0, ...readdirSync(directory).map((name) => Number(claimName.exec(name)?.[1] ?? 0)))
}

function isHeld(directory: string, number: number, machine: Machine): boolean {
  try {
    const held: unknown = JSON.parse(readFileSync(join(directory, `claim-${number}`), 'utf8'))
    if (typeof held !== 'object' || held === null || !('process' in held) || !isProcess(held.process)) return false
    // Of another boot, it is gone; of another namespace, who knows: where two of them send the same, the service takes it once.
    const place: unknown = 'machine' in held ? held.machine : null
    return JSON.stringify(place) === JSON.stringify(machine) && isAlive(held.process)
  } catch (error) {
    // A newer one has taken its place.
    if (codeOf(error) === 'ENOENT') return true
    if (error instanceof SyntaxError) return false
    throw error
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : null
}
