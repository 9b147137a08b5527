// Which program a session runs, and what is known of it before it starts.

import { accessSync, constants, existsSync, realpathSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { basename, delimiter, dirname, isAbsolute, join, resolve } from 'node:path'
import { exitCodes, Failure } from './failure.ts'

const knownAgents = ['claude', 'codex', 'gemini']

export type Program = {
  readonly file: string
  readonly argv: readonly [string, ...string[]]
  readonly agent: string | null
}

/** The program of `telec run [--agent NAME] [-- COMMAND...]`: the command; else the agent; else the default agent
 *  (TELECLAUDE_AGENT); else the login shell.
 *  @throws Failure with the exit code a shell gives for what can't be found or executed */
export function chooseProgram(words: readonly string[], agent: string | undefined): Program {
  const [first, ...rest] = words
  if (first !== undefined) {
    const name = basename(first)
    return {
      file: findExecutable(first),
      argv: [first, ...rest],
      agent: agent ?? (knownAgents.includes(name) ? name : null),
    }
  }
  const chosen = agent ?? process.env.TELECLAUDE_AGENT
  if (chosen !== undefined && chosen !== '') return { file: findExecutable(chosen), argv: [chosen], agent: chosen }
  const shell = process.env.SHELL || userInfo().shell || '/bin/sh'
  return { file: findExecutable(shell), argv: [shell, '-l'], agent: null }
}

/** As execvp(3) looks a program up: a name with a slash is a path, any other is sought in PATH. */
function findExecutable(name: string): string {
  const candidates = name.includes('/')
    ? [resolve(name)]
    : (process.env.PATH ?? '').split(delimiter).map((directory) => join(directory === '' ? '.' : directory, name))
  let unusable: string | null = null
  for (const path of candidates) {
    try {
      if (!statSync(path).isFile()) {
        if (name.includes('/')) unusable = path
        continue
      }
      accessSync(path, constants.X_OK)
      return resolve(path)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : null
      if (code === 'EACCES') unusable = path
      else if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'ELOOP' && code !== 'ENAMETOOLONG') throw error
    }
  }
  if (unusable !== null)
    throw new Failure(exitCodes.notExecutable, `cannot run ${name}: ${unusable} is not an executable file you may run`)
  throw new Failure(exitCodes.notFound, `cannot run ${name}: there is no such command`)
}

/** The enclosing git work tree of a directory, or the directory itself. */
export function findProject(directory: string): string {
  const start = realpathSync(directory)
  for (let at = start; ; at = dirname(at)) {
    if (existsSync(join(at, '.git'))) return at
    if (at === dirname(at)) return start
  }
}

/** @throws Failure where the named project is no directory */
export function checkProject(path: string): string {
  const absolute = isAbsolute(path) ? path : resolve(path)
  if (!existsSync(absolute) || !statSync(absolute).isDirectory()) {
    throw new Failure(exitCodes.data, `cannot use the project ${path}: there is no such directory`)
  }
  return realpathSync(absolute)
}
