// The API daemon in single-user mode: directories > lock > schema > store > sessions > socket, and back in reverse.

import { describeFault } from '@teleclaude/config/config-error.ts'
import { ensurePrivateDirectory } from '@teleclaude/config/directories.ts'
import type { Layout } from '@teleclaude/config/layout.ts'
import { loadSingleUserConfig } from '@teleclaude/config/load.ts'
import { osUserOf } from '@teleclaude/peercred/os-user.ts'
import { preparePeerReader } from '@teleclaude/peercred/peer.ts'
import type { StoreTarget } from '@teleclaude/store/contract.ts'
import { acquireInstanceLock, migrate, openStore } from '@teleclaude/store/open.ts'
import { RunningConfig } from './configuration/running-config.ts'
import { takeEnvironment } from './configuration/take-environment.ts'
import { Accounts } from './identity/accounts.ts'
import { singleUserIdentity } from './identity/single-user.ts'
import { createLog } from './log.ts'
import { startServing, stopSignal, untilOver } from './serve.ts'

export type DaemonOptions = {
  readonly layout: Layout
  /** Where the audit log's key is lost for good: go on with a new one. */
  readonly newAuditKey?: boolean
  /** Of the process: what is secret in it is taken out, so that no child has it. */
  readonly env: NodeJS.ProcessEnv
  /** Called once everything is up. */
  readonly ready: () => void
}

/** Runs until SIGTERM or SIGINT, or until the lock is lost; then nothing that was acknowledged is lost.
 *  @throws whatever kept it from starting: ConfigError, StoreError, DirectoryError, SocketError, PeerError, AuditKeyError */
export async function runDaemon({ layout, newAuditKey = false, env, ready }: DaemonOptions): Promise<void> {
  // Before anything in it is believed.
  for (const directory of [layout.root, layout.runDir, layout.logDir]) ensurePrivateDirectory(directory)
  const taken = takeEnvironment(env)
  const load = () => loadSingleUserConfig({ ...layout, env: taken })
  const loaded = load()
  const { host, databaseUrl } = loaded.config
  const log = createLog(loaded.config)
  preparePeerReader()
  const uid = process.getuid?.()
  if (uid === undefined) throw new Error('cannot tell who owns this process: the platform has no user ids')
  const target: StoreTarget =
    databaseUrl === null
      ? { engine: 'sqlite', file: layout.database }
      : { engine: 'postgres', url: databaseUrl.reveal() }

  await using opened = new AsyncDisposableStack()
  const holder = { host, pid: process.pid, program: 'teleclaude daemon' }
  const lock = opened.adopt(await acquireInstanceLock(target, holder), (held) => held.release())
  const { applied } = await migrate(target)
  if (applied.length > 0) log.info({ applied }, 'schema brought up to date')
  const store = opened.adopt(await openStore(target, { lock }), (open) => open.close())
  const serving = await startServing({
    mode: 'single-user',
    store,
    identity: singleUserIdentity({ uid, osUser: osUserOf(uid) ?? `uid ${uid}` }),
    accounts: await Accounts.load({ store, host }),
    host,
    config: new RunningConfig({ mode: 'single-user', files: layout, load }, loaded, log),
    log,
    socket: { path: layout.socket, mode: 0o600 },
    auditKey: { keyFile: layout.auditKey, replaceLost: newAuditKey },
    limits: null,
  })
  for (const warning of loaded.warnings) log.warn(`${describeFault(warning)}; ${warning.mend}`)
  const stopped = stopSignal()
  ready()
  const lost = await untilOver(lock, stopped, log)
  await serving.stop()
  if (lost !== null) throw lost
}
