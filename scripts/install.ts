// Brings node_modules in step with package-lock.json and leaves it alone where it already is: `install.ts [--dev]`.
// Uses nothing but Node itself, for it runs when there is nothing else yet.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

type LockedPackage = {
  readonly version?: string
  readonly integrity?: string
  readonly link?: boolean
  readonly dev?: boolean
  readonly optional?: boolean
  readonly devOptional?: boolean
  readonly os?: string | readonly string[]
  readonly cpu?: string | readonly string[]
  readonly libc?: string | readonly string[]
}

const root = join(import.meta.dirname, '..')

function readLock(path: string): Record<string, LockedPackage> {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : {}
}

// npm writes this file when everything else is in place, and a started `npm ci` has removed it: it says what is installed.
const readInstalled = () => readLock(join(root, 'node_modules/.package-lock.json'))

function isInStep(withDev: boolean): boolean {
  const installed = readInstalled()
  const wanted = Object.entries(readLock(join(root, 'package-lock.json'))).filter(
    ([path, { dev, link }]) => path.includes('node_modules/') && !link && (withDev || !dev),
  )
  return wanted.every(([path, locked]) => {
    const present = installed[path]
    if (present === undefined) return mayBeMissing(locked, withDev)
    return present.version === locked.version && present.integrity === locked.integrity
  })
}

/** npm passes in silence over an optional package that it could not download, so those for this very machine count. */
function mayBeMissing({ optional, devOptional, os, cpu, libc }: LockedPackage, withDev: boolean): boolean {
  if (!optional && !(devOptional && !withDev)) return false
  const isForThisMachine = os !== undefined && cpu !== undefined && libc === undefined
  return !(isForThisMachine && [os].flat().includes(process.platform) && [cpu].flat().includes(process.arch))
}

/** Runs `install` while no other process of this checkout does. The kernel frees the lock of a process that dies. */
function withInstallLock(install: () => void): void {
  mkdirSync(join(root, '.runtime'), { recursive: true })
  const lock = new DatabaseSync(join(root, '.runtime/install.lock'))
  const take = (waitMs: number) => lock.exec(`PRAGMA busy_timeout = ${waitMs}; BEGIN EXCLUSIVE`)
  try {
    take(0)
  } catch (error) {
    const isHeld = error instanceof Error && 'errcode' in error && error.errcode === 5 // SQLITE_BUSY
    if (!isHeld) throw error
    console.error('Waiting for another installation in this checkout to end ...')
    take(15 * 60_000)
  }
  install()
  lock.close()
}

function npmCi(withDev: boolean): void {
  console.error(`Installing locked dependencies${withDev ? ', those of development too' : ''} ...`)
  const pinnedNpm = join(root, '.runtime/pinned/node_modules/npm/bin/npm-cli.js')
  const [npm, ...first] = existsSync(pinnedNpm) ? [process.execPath, pinnedNpm] : ['npm']
  // Options, because the environment (NODE_ENV) or the person's own npm settings may say otherwise.
  const options = [withDev ? '--include=dev' : '--omit=dev', '--include=prod', '--include=optional', '--ignore-scripts']
  const { status, error } = spawnSync(
    npm,
    [...first, 'ci', ...options, '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: root,
      env: { ...process.env, PATH: [dirname(process.execPath), process.env.PATH].join(delimiter) },
      stdio: ['ignore', process.stderr, process.stderr],
    },
  )
  if (error !== undefined && 'code' in error && error.code === 'ENOENT') {
    fail('cannot install dependencies: there is no npm on your PATH. Install npm, then run this again.')
  }
  if (status !== 0 || !isInStep(withDev)) {
    fail('cannot install dependencies: npm failed, as said above. Mend that and run this again.')
  }
}

function fail(message: string): never {
  console.error(message)
  process.exit(69) // EX_UNAVAILABLE (sysexits.h)
}

// Whoever has the packages of development keeps them.
const withDev = process.argv.includes('--dev') || Object.values(readInstalled()).some(({ dev }) => dev)
if (!isInStep(withDev)) {
  withInstallLock(() => {
    if (!isInStep(withDev)) npmCi(withDev)
  })
}
