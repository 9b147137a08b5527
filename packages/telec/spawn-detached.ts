// Starts a process of ours that outlives us, and hears from it once how its start went, on file descriptor 3.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export type Report = {
  /** What it said; empty where it ended without a word. */
  readonly text: string
  readonly pid: number | undefined
}

export const reportFd = 3

/** `script` is a module beside this one; `logFd` takes what it prints. Resolves when it has reported or is gone. */
export function spawnDetached(
  script: string,
  options: { readonly args?: readonly string[]; readonly input?: string; readonly logFd: number; readonly cwd: string },
): Promise<Report> {
  const path = fileURLToPath(new URL(script, import.meta.url))
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [path, ...(options.args ?? [])], {
      detached: true,
      cwd: options.cwd,
      stdio: [options.input === undefined ? 'ignore' : 'pipe', options.logFd, options.logFd, 'pipe'],
    })
    child.on('error', reject)
    // It may be gone before it has read its input: its report, or the lack of one, says so.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(options.input)
    const report = child.stdio[reportFd]
    const parts: Buffer[] = []
    report?.on('data', (part: Buffer) => parts.push(part))
    report?.on('close', () => {
      child.unref()
      resolve({ text: Buffer.concat(parts).toString('utf8'), pid: child.pid })
    })
  })
}
