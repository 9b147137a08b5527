// The API in system mode: kernel facts > settings > configuration > socket directory > lock > store > sessions > socket, and
// back in reverse. It never migrates.

import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describeFault } from '@teleclaude/config/config-error.ts'
import { requireServiceDirectory } from '@teleclaude/config/directories.ts'
import type { Loaded } from '@teleclaude/config/layers.ts'
import type { SystemLayout } from '@teleclaude/config/layout.ts'
import { loadSystemConfig, type SystemConfig } from '@teleclaude/config/load.ts'
import { withAdmin } from '@teleclaude/core/people.ts'
import { osUserOf } from '@teleclaude/peercred/os-user.ts'
import { preparePeerReader } from '@teleclaude/peercred/peer.ts'
import { type InstanceLock, StoreError } from '@teleclaude/store/contract.ts'
import { acquireInstanceLock, openStore } from '@teleclaude/store/open.ts'
import type { Logger } from 'pino'
import { RunningConfig } from './configuration/running-config.ts'
import { takeEnvironment } from './configuration/take-environment.ts'
import { Accounts } from './identity/accounts.ts'
import { systemIdentity } from './identity/system.ts'
import { type KernelFacts, refuseUnsafe } from './kernel-facts.ts'
import type { Patience } from './limits/patience.ts'
import { createLog } from './log.ts'
import { startServing, stopSignal, untilOver } from './serve.ts'

export type SystemOptions = {
  readonly layout: Pick<SystemLayout, 'configFile' | 'secretsFile' | 'envFile' | 'socket' | 'stateDir' | 'auditKey'>
  /** Of the process: what is secret in it is taken out, so that no child has it. */
  readonly env: NodeJS.ProcessEnv
  readonly facts: KernelFacts
  /** What somebody can mend meanwhile is waited for; without it, it is thrown. */
  readonly wait: boolean
  /** Where the audit log's key is lost for good: go on with a new one. */
  readonly newAuditKey?: boolean
  /** Of slow clients. */
  readonly patience?: Patience
}

const retryMs = 1_000

/** Runs until SIGTERM or SIGINT, or until the lock is lost.
 *  @throws whatever keeps it from starting: UnsafeError, ConfigError, StoreError, DirectoryError, SocketError, PeerError,
 *  AuditKeyError */
export async function runSystem(options: SystemOptions): Promise<void> {
  const stopped = stopSignal()
  // Until there is something to reload, everything is read again anyway.
  process.on('SIGHUP', () => undefined)
  refuseUnsafe(options.facts)
  preparePeerReader()
  await using running = await startPatiently(options, stopped)
  if (running === null) return
  const lost = await untilOver(running.lock, stopped, running.log)
  if (lost !== null) throw lost
}

type Running = AsyncDisposable & { readonly lock: InstanceLock; readonly log: Logger }

/** Null where it was asked to stop before it came up. */
async function startPatiently(options: SystemOptions, stopped: Promise<void>): Promise<Running | null> {
  const log = createLog(null)
  const said = new Set<string>()
  const load = makeLoader(options)
  for (;;) {
    const attempt = start(options, load).catch((error: unknown) => {
      if (!options.wait || !isMendable(error)) throw error
      return error
    })
    const outcome = await Promise.race([attempt, stopped])
    if (outcome === undefined) return null
    if (!(outcome instanceof Error)) return outcome
    if (!said.has(outcome.message)) log.error(`${outcome.message}\nWaiting until that is mended.`)
    said.add(outcome.message)
    if ((await Promise.race([delay(retryMs, 'again' as const), stopped])) !== 'again') return null
  }
}

const mendableErrors = ['ConfigError', 'DirectoryError', 'SocketError', 'AuditKeyError']
const mendableCodes = ['unavailable', 'schema-older', 'not-a-database', 'not-writable']

/** Another instance, or a database of a newer version, is not to be waited for: whoever runs this has to see that. */
function isMendable(error: unknown): error is Error {
  if (!(error instanceof Error)) return false
  return mendableErrors.includes(error.name) || (error instanceof StoreError && mendableCodes.includes(error.code))
}

function advise(error: unknown): never {
  if (!(error instanceof StoreError && error.code === 'schema-older')) throw error
  throw new StoreError(error.code, `${error.message}: docker compose run --rm migrator up`, { cause: error })
}

type Load = () => Loaded<SystemConfig>

function makeLoader({ layout, env }: SystemOptions): Load {
  const taken = takeEnvironment(env)
  return () => {
    const loaded = loadSystemConfig({ ...layout, env: taken })
    const { people, adminUid } = loaded.config
    if (adminUid === null) return loaded
    return { ...loaded, config: { ...loaded.config, people: withAdmin(people, adminUid, osUserOf(adminUid)) } }
  }
}

async function start({ layout, patience, newAuditKey = false }: SystemOptions, load: Load): Promise<Running> {
  const loaded = load()
  const { host, databaseUrl } = loaded.config
  const log = createLog(loaded.config)
  const config = new RunningConfig<SystemConfig>({ mode: 'system', files: layout, load }, loaded, log)
  requireServiceDirectory(dirname(layout.socket))
  requireServiceDirectory(layout.stateDir)

  const target = { engine: 'postgres', url: databaseUrl.reveal() } as const
  await using opened = new AsyncDisposableStack()
  const holder = { host, pid: process.pid, program: 'teleclaude api' }
  const lock = opened.adopt(await acquireInstanceLock(target, holder), (held) => held.release())
  const store = opened.adopt(await openStore(target, { lock }).catch(advise), (open) => open.close())
  const accounts = await Accounts.load({ store, host })
  const serving = await startServing({
    mode: 'system',
    store,
    identity: systemIdentity(() => config.current.people, accounts),
    accounts,
    host,
    config,
    log,
    socket: { path: layout.socket, mode: 0o666 },
    auditKey: { keyFile: layout.auditKey, replaceLost: newAuditKey },
    limits: () => config.current.limits,
    patience,
  })
  opened.defer(() => serving.stop())
  for (const warning of loaded.warnings) log.warn(`${describeFault(warning)}; ${warning.mend}`)
  const resources = opened.move()
  return { lock, log, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}
