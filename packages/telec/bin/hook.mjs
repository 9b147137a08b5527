// Entry of the hook that agents call: `hook.mjs AGENT SOCKET [EVENT]`. They wait for it at each of their steps, so it is
// `telec hook` without all that reads a command line; for the compile cache see telec.mjs.
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

enableCompileCache(join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'teleclaude', 'compiled'))
const { hook } = await import('../commands/hook.ts')
const [agent, socket, event] = process.argv.slice(2)
await hook(agent ?? '', event, socket)
process.exit(0)
