// Entry of the runner, `run`, and of the recovery, `recover SPOOL [SESSION]`. As in bin/telec.mjs, the compile cache is on before
// the first TypeScript is loaded: without what strips types a runner takes a third less memory.
import { enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { join } from 'node:path'

enableCompileCache(join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'teleclaude', 'compiled'))
await import(process.argv[2] === 'recover' ? '../recovery/main.ts' : './main.ts')
