// The runner's process. Reads its task from standard input, says on file descriptor 3 how starting it went
// (`ok` or the reason), and from then on needs nobody.

import { closeSync, readFileSync, writeSync } from 'node:fs'
import { type RunnerTask, runSession } from './runner.ts'

const reportFd = 3

// The terminal that `telec run` was typed in may close; the session stays.
process.on('SIGHUP', () => undefined)
const task = JSON.parse(readFileSync(0, 'utf8')) as RunnerTask
process.title = `telec-runner ${task.sessionId}`
await runSession(task, (failure) => {
  try {
    writeSync(reportFd, failure ?? 'ok')
    closeSync(reportFd)
  } catch (error) {
    // Nobody waits for it any more: the session is no less for it.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error
  }
})
process.exit(0)
