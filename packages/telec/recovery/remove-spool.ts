// Takes a session's spool away so that a crash on the way leaves it either whole or under a name that says that it may go.

import { renameSync, rmSync } from 'node:fs'

/** Delivered, or not to be delivered ever: only to be deleted. */
export const removedSuffix = '.removed'

export function removeSpool(directory: string): void {
  const going = directory.endsWith(removedSuffix) ? directory : `${directory}${removedSuffix}`
  try {
    if (going !== directory) renameSync(directory, going)
  } catch (error) {
    // Somebody has taken it away already.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
  rmSync(going, { recursive: true, force: true })
}
