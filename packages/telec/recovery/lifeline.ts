// Tells whether a runner is there to those who can't see its process: it is in another PID namespace, as in a sandbox that shares
// this home, or was in one that is gone, as in a container before it was restarted. A pipe in its spool, which it keeps open for
// reading: opening it for writing fails where nobody does (fifo(7)), and the kernel closes it however the runner ends.

import { closeSync, constants, openSync } from 'node:fs'
import { join } from 'node:path'

const name = 'lifeline'

/** To the end of this process. Where none can be made, nobody in another namespace will take over. */
export function holdLifeline(directory: string): void {
  if (process.platform !== 'linux') return
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const path = join(directory, name)
  if (spawnSync('mkfifo', ['-m', '600', path], { stdio: 'ignore' }).status === 0)
    openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
}

/** Whether nobody holds it any more; not so where there is none, for then it is not known. */
export function isLifelineCut(directory: string): boolean {
  try {
    closeSync(openSync(join(directory, name), constants.O_WRONLY | constants.O_NONBLOCK))
    return false
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code === 'ENXIO') return true
    if (code === 'ENOENT') return false
    throw error
  }
}
