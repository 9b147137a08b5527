// Starts a process of ours that outlives us, and hears from it once how its start went, on file descriptor 3.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export type Report = {
  /** What it said; empty where it ended without a word. */
  readonly text: string
  readonly pid: number | undefined
}

export type DetachedOptions = {
  readonly args?: readonly string[]
  /** For Node itself, where it is a module of ours. */
  readonly nodeArgs?: readonly string[]
  /** Beside the caller's. */
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  /** Takes what it prints. */
  readonly logFd: number
  readonly cwd: string
  /** Where it has not said anything for this long, it is killed, and with it what it has started. */
  readonly patienceMs?: number
}

export const reportFd = 3

/** `script` is a module beside this one. Resolves when it has reported or is gone. */
export function spawnDetached(script: string, options: DetachedOptions): Promise<Report> {
  const path = fileURLToPath(new URL(script, import.meta.url))
  // It stays: less room for what is young costs it little, and saves ten megabytes.
  const args = ['--max-semi-space-size=2', ...(options.nodeArgs ?? []), path, ...(options.args ?? [])]
  return spawnReporting(process.execPath, { ...options, args })
}

/** Any program that knows what is expected of it. */
export function spawnReporting(file: string, options: DetachedOptions): Promise<Report> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, options.args ?? [], {
      detached: true,
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: [options.input === undefined ? 'ignore' : 'pipe', options.logFd, options.logFd, 'pipe'],
    })
    child.on('error', reject)
    // It may be gone before it has read its input: its report, or the lack of one, says so.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input)
    const report = child.stdio[reportFd]
    const parts: Buffer[] = []
    const patience =
      options.patienceMs === undefined ? undefined : setTimeout(() => killGroup(child.pid), options.patienceMs)
    report?.on('data', (part: Buffer) => {
      clearTimeout(patience)
      parts.push(part)
    })
    report?.on('close', () => {
      clearTimeout(patience)
      child.unref()
      resolve({ text: Buffer.concat(parts).toString('utf8'), pid: child.pid })
    })
  })
}

/** It leads a group of its own. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    // ESRCH: it has just ended by itself.
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}
