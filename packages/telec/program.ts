// Which program a session runs, and what is known of it before it starts.

import { accessSync, constants, existsSync, realpathSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'
import { basename, delimiter, dirname, isAbsolute, join, resolve } from 'node:path'
import type { Preferences } from '@teleclaude/config/preferences.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { exitCodes, Failure } from './failure.ts'

const knownAgents = ['claude', 'codex', 'gemini']

export type Program = {
  readonly file: string
  readonly argv: readonly [string, ...string[]]
  readonly agent: string | null
  /** Of the agent; null where it was started in none. */
  readonly mode: string | null
}

export type ProgramWish = { readonly agent?: string | undefined; readonly mode?: string | undefined }
/** What a person likes in the project at hand, and which agents they have described. */
export type ProgramPreferences = ProgramWish & Pick<Preferences, 'agents'>

/** The program of `telec run [--agent NAME] [--mode NAME] [-- COMMAND...]`: the command; else the agent; else the default
 *  agent (TELECLAUDE_AGENT, then the preferred one); else the login shell. An agent gets the words of its mode: the one asked
 *  for, or the preferred one where it has that.
 *  @throws Failure with the exit code a shell gives for what can't be found or executed, and that of usage for a mode that
 *  can't be had */
export function chooseProgram(words: readonly string[], asked: ProgramWish, preferred: ProgramPreferences): Program {
  const [first, ...rest] = words
  if (first !== undefined) {
    if (asked.mode !== undefined) {
      throw modeFailure(asked.mode, 'a command was given, and modes are for agents; leave one of the two out')
    }
    const name = basename(first)
    return {
      file: findExecutable(first),
      argv: [first, ...rest],
      agent: asked.agent ?? (knownAgents.includes(name) ? name : null),
      mode: null,
    }
  }
  // An empty variable is none, and so is what was asked for as `--agent ''`: there is a way to the login shell always.
  const agent = asked.agent ?? (process.env.TELECLAUDE_AGENT || preferred.agent)
  if (agent !== undefined && agent !== '') {
    const { mode, words } = chooseMode(agent, asked.mode, preferred)
    return { file: findExecutable(agent), argv: [agent, ...words], agent, mode }
  }
  if (asked.mode !== undefined) throw modeFailure(asked.mode, 'no agent was chosen; name one with --agent')
  const shell = process.env.SHELL || userInfo().shell || '/bin/sh'
  return { file: findExecutable(shell), argv: [shell, '-l'], agent: null, mode: null }
}

function chooseMode(
  agent: string,
  asked: string | undefined,
  preferred: ProgramPreferences,
): { readonly mode: string | null; readonly words: readonly string[] } {
  // As a Map: objects have more names than were written.
  const agents = new Map(Object.entries(preferred.agents ?? {}))
  const modes = new Map(Object.entries(agents.get(agent)?.modes ?? {}))
  const mode = asked ?? preferred.mode
  const words = mode === undefined ? undefined : modes.get(mode)
  if (mode !== undefined && words !== undefined) return { mode, words }
  if (asked === undefined) return { mode: null, words: [] }
  const there = [...modes.keys()].join(', ')
  const next =
    there === ''
      ? `${agent} has no modes; write them into ~/.teleclaude/config.yml, below agents`
      : `${agent} has no such mode; there are ${there}`
  throw modeFailure(asked, next)
}

function modeFailure(mode: string, why: string): Failure {
  return new Failure(exitCodes.usage, `cannot use the mode ${neutralise(mode)}: ${why}`)
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
