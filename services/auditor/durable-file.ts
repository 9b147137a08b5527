// Files that are whole and on the disk, or not there: written under another name, synced, and put in place.

import { constants } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Resolves when the disk has it: a loss of power leaves the old one or the new one. Not to be called for the same path at the same
 *  time. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const made = `${path}.new`
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW
  const handle = await open(made, flags, mode)
  try {
    // One that a crash has left may have another mode.
    await handle.chmod(mode)
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(made, path)
  await syncDirectory(dirname(path))
}

/** The names in it, as they are now. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
