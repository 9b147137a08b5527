// What the machine has to offer: Node, native parts, room, a way to find telec.

import { existsSync, statfsSync } from 'node:fs'
import { delimiter, dirname, join, resolve } from 'node:path'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import { preparePeerReader } from '@teleclaude/peercred/peer.ts'
import { type Finding, fail, ok, reason, warn } from './finding.ts'

const oldestNode = 24
const reinstall = 'npm ci --include=optional'

export async function checkMachine(home: string): Promise<readonly Finding[]> {
  return [checkNode(process.versions.node), checkPlatform(), checkPeerReader(), await checkTerminal(), checkRoom(home)]
}

function checkNode(version: string): Finding {
  const [major = 0] = version.split('.').map(Number)
  if (major >= oldestNode) return ok('node', `Node ${version}`)
  return fail('node', `Node ${version} is too old: ${oldestNode} or newer is needed`, 'scripts/start')
}

function checkPlatform(): Finding {
  const name = `${process.platform} ${process.arch}`
  if (process.platform === 'linux' || process.platform === 'darwin') return ok('platform', name)
  const mend = 'use Linux (also in a virtual machine or WSL 2) or macOS'
  return fail('platform', `${name}: its sockets do not say who connects`, mend)
}

function checkPeerReader(): Finding {
  try {
    preparePeerReader()
    return ok('peer-identity', 'the kernel can be asked who connects (koffi loads)')
  } catch (error) {
    return fail('peer-identity', reason(error), reinstall)
  }
}

/** Opens a real terminal: that the native module loads does not say that it works here. */
async function checkTerminal(): Promise<Finding> {
  const expected = 7
  try {
    const { spawn } = await import('@lydell/node-pty')
    const terminal = spawn('/bin/sh', ['-c', `exit ${expected}`], {})
    const exitCode = await new Promise<number>((settle) => terminal.onExit((exit) => settle(exit.exitCode)))
    if (exitCode === expected) return ok('terminal', 'programs can be run in a terminal (node-pty loads)')
    return fail('terminal', `a program run in a terminal ended with ${exitCode}, not ${expected}`, reinstall)
  } catch (error) {
    return fail('terminal', `no terminal can be opened: ${reason(error)}`, reinstall)
  }
}

/** Of an installation of one's own; the machine's telec is where its admin has put it. */
export function checkCommandPath(home: string, path: string): Finding {
  const directory = join(home, '.local', 'bin')
  const isOnPath = path.split(delimiter).some((entry) => entry !== '' && resolve(entry) === directory)
  if (isOnPath) return ok('path', `${directory} is on PATH`)
  const mend = `export PATH="$HOME/.local/bin:$PATH"  # in your shell's start-up file, too`
  return warn('path', `${directory}, where telec is linked to, is not on PATH`, mend)
}

const leastBytes = 64 * 1024 ** 2
const enoughBytes = 1024 ** 3

function checkRoom(home: string): Finding {
  const path = nearestThere(join(home, '.teleclaude'))
  try {
    const { bavail, bsize, ffree, files } = statfsSync(path)
    const bytes = bavail * bsize
    const what = `${formatBytes(bytes)} free at ${path}`
    const mend = `du -xh ${shellQuote(join(home, '.teleclaude'))} | sort -h | tail  # shows what takes the room`
    if (files > 0 && ffree === 0) return fail('disk', `no file can be made at ${path}: it is out of inodes`, mend)
    if (bytes < leastBytes) return fail('disk', `${what}: too little to record anything`, mend)
    return bytes < enoughBytes ? warn('disk', `${what}: transcripts may soon not fit`, mend) : ok('disk', what)
  } catch (error) {
    return fail('disk', `cannot look at ${path}: ${reason(error)}`, `ls -ld ${shellQuote(path)}`)
  }
}

function nearestThere(path: string): string {
  return existsSync(path) || path === dirname(path) ? path : nearestThere(dirname(path))
}

function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  const power = Math.min(bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10), units.length - 1)
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`
}
