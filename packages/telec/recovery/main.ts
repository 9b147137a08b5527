// The recovery's process: sees to the spools of runners that are gone, and ends.

import { recoverOrphans } from './recover.ts'

const [spoolDirectory = '', sessionId] = process.argv.slice(3)
process.title = `telec-recovery ${sessionId ?? ''}`.trim()
await recoverOrphans(spoolDirectory, sessionId)
process.exit(0)
