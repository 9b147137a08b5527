// The runner's process. Reads its task from standard input, says on file descriptor 3 how starting it went
// (`ok` or the reason), and from then on needs nobody. It ends with 0 where the session has come to an end that it knows of, and
// otherwise its guard (guard.sh) takes over.

import { closeSync, readFileSync, writeSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { removeSettingsFile } from '../agents/settings-file.ts'
import { type RunnerTask, runSession } from './runner.ts'

const reportFd = 3

// The terminal that `telec run` was typed in may close; the session stays.
process.on('SIGHUP', () => undefined)
// The machine, or the session's scope, is being shut down.
const stopping = new AbortController()
process.on('SIGTERM', () => stopping.abort())
const task = JSON.parse(readFileSync(0, 'utf8')) as RunnerTask
process.title = `telec-runner ${task.sessionId}`
await runSession(
  task,
  (failure) => {
    try {
      writeSync(reportFd, failure ?? 'ok')
      closeSync(reportFd)
    } catch (error) {
      // Nobody waits for it any more: the session is no less for it.
      if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error
    }
    // Everything that a session needs is loaded by now, and a runner may be killed before it ends.
    flushCompileCache()
  },
  stopping.signal,
)
removeSettingsFile(task.sessionId)
process.exit(0)
