// How long `telec ls` takes from nothing to its end. What it reads has been read before: the files, and what Node compiled.

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { Installation } from '../support/installation.ts'
import type { Run } from './bench.ts'
import { type Finding, limit, quantile } from './finding.ts'

const limitMs = 90
const starts = 21
const sessions = 20

const launcher = join(import.meta.dirname, '../../bin/telec')

export async function benchLsCold({ scope, say }: Run): Promise<readonly Finding[]> {
  const own = scope.use(await Installation.make('sqlite'))
  await own.startDaemon()
  for (let session = 0; session < sessions; session++) {
    const project = `/home/somebody/project-${session % 5}`
    await own.client.createSession({
      project,
      agent: null,
      title: 'a title',
      argv: ['true'],
      terminal: { cols: 80, rows: 24 },
    })
  }
  const env = {
    ...own.env,
    PATH: `${dirname(process.execPath)}:${own.env.PATH ?? ''}`,
    // What Node compiled is kept there; that of the tests may be another user's.
    XDG_CACHE_HOME: join(own.home, 'cache'),
  }
  const time = (program: string, ...args: string[]): number => {
    const startMs = performance.now()
    const { status, error } = spawnSync(program, args, {
      env,
      cwd: own.home,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const tookMs = performance.now() - startMs
    if (status !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${error?.message ?? `exit ${status}`}`)
    return tookMs
  }
  const tmuxSocket = join(own.home, 'tmux')
  const hasTmux = startTmux(scope, tmuxSocket)
  if (!hasTmux) say('not beside tmux: it is not there')

  const telecMs: number[] = []
  const nodeMs: number[] = []
  const tmuxMs: number[] = []
  const timeAll = () => {
    telecMs.push(time(launcher, 'ls'))
    nodeMs.push(time(process.execPath, '-e', '0'))
    if (hasTmux) tmuxMs.push(time('tmux', '-S', tmuxSocket, 'ls'))
  }
  timeAll()
  for (const times of [telecMs, nodeMs, tmuxMs]) times.pop()
  say(`${starts} starts`)
  for (let start = 0; start < starts; start++) timeAll()

  const beside = (what: string, rounds: readonly number[]): Finding[] =>
    rounds.length === 0
      ? []
      : [{ what: 'telec ls, cold', unit: 'ms', rounds: telecMs, beside: { kind: 'peer', what, rounds }, budget: null }]
  return [
    { what: 'telec ls, cold', unit: 'ms', rounds: telecMs, ...limit(limitMs) },
    { what: `telec ls, cold, p99 of ${starts}`, unit: 'ms', rounds: [quantile(telecMs, 0.99)], ...limit(limitMs) },
    ...beside('node -e 0', nodeMs),
    ...beside('tmux ls', tmuxMs),
  ]
}

/** A server with one session. False where there is no tmux. */
function startTmux(scope: AsyncDisposableStack, socket: string): boolean {
  const tmux = (...args: string[]) => spawnSync('tmux', ['-f', '/dev/null', '-S', socket, ...args])
  if (tmux('new-session', '-d', 'exec sleep 600').status !== 0) return false
  scope.defer(() => {
    tmux('kill-server')
  })
  return true
}
