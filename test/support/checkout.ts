// Parts of this checkout in a directory of their own, and the scripts in it run as a person would run them.

import { execFileSync, spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import type { TestContext } from 'node:test'

const root = join(import.meta.dirname, '../..')

/** A new directory with copies of the given files and folders of this checkout; there is a space in its path. */
export async function copyCheckout(t: TestContext, ...paths: readonly string[]): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), 'teleclaude '))
  t.after(() => rm(parent, { recursive: true, force: true }))
  const checkout = join(parent, 'checkout')
  for (const path of paths) await cp(join(root, path), join(checkout, path), { recursive: true })
  return checkout
}

/** What a clone of the present state would hold: the files that git tracks, and new ones that it does not ignore. */
export function copyTracked(checkout: string): void {
  const listed = execFileSync('git', ['-C', root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'])
  execFileSync('mkdir', ['-p', checkout])
  execFileSync(
    'sh',
    ['-c', 'tar -C "$1" --ignore-failed-read --null -T - -cf - | tar -C "$2" -xf -', 'sh', root, checkout],
    {
      input: listed,
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  )
}

/** A PATH on which `node` says that it is an old one, and is a good one in all else: npm can run on it. */
export async function pathWithOldNode(checkout: string): Promise<string> {
  const folder = join(dirname(checkout), 'old-node')
  await mkdir(folder)
  const standIn = `#!/bin/sh\ncase $1 in --version) echo v20.20.2 ;; *) exec '${process.execPath}' "$@" ;; esac\n`
  await writeFile(join(folder, 'node'), standIn, { mode: 0o755 })
  return [folder, process.env.PATH].join(delimiter)
}

/** A PATH on which there are only the given programs of this machine. */
export async function pathWithOnly(checkout: string, programs: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(dirname(checkout), 'path-'))
  for (const [name, program] of Object.entries(programs)) await symlink(program, join(folder, name))
  return folder
}

export type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string }
type Options = {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly uid?: number
  /** Called with all that standard error has said so far; `kill` ends the command and its children by SIGKILL. */
  readonly onStderr?: (text: string, kill: () => void) => void
}

/** Runs a command to its end, in a process group of its own. */
export async function runCommand(command: string, args: readonly string[], options: Options = {}): Promise<Ran> {
  const { onStderr, uid, env, cwd } = options
  const identity = uid === undefined ? {} : { uid, gid: uid }
  const child = spawn(command, args, {
    ...identity,
    ...(cwd === undefined ? {} : { cwd }),
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const kill = () => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
  }
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
    onStderr?.(stderr, kill)
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}
