// Entry of `telec`. Plain JavaScript, so that the compile cache is on before the first TypeScript is loaded: with it
// neither types are stripped nor code compiled again at the next start.
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

enableCompileCache(join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'teleclaude', 'compiled'))
const { main } = await import('../main.ts')
process.exitCode = await main(process.argv)
