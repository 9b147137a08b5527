// Which agent, mode and title a person prefers in a project. Light: `telec run` uses it with a personal file or without.

import { realpathSync } from 'node:fs'
import { join, resolve, sep } from 'node:path'
import type { Preferences } from './preferences.ts'

export type ProjectPreferences = Pick<Preferences, 'agent' | 'mode' | 'title'>

/** What `projects` says of the project, or else of the nearest directory above it that has an entry, counts key by key before
 *  what is said for everywhere. `projectPath` is absolute and has no links in it; links in the file's paths are followed. */
export function forProject(preferences: Preferences, projectPath: string, home: string): ProjectPreferences {
  const { agent, mode, title, projects } = preferences
  const [nearest] = Object.entries(projects ?? {})
    .map(([written, own]) => ({ written, own, path: locate(written, home) }))
    .filter(({ path }) => isWithin(projectPath, path))
    // Two ways of writing one path: the order in the file must not matter.
    .sort((one, other) => other.path.length - one.path.length || (one.written < other.written ? -1 : 1))
  return {
    agent: nearest?.own.agent ?? agent,
    mode: nearest?.own.mode ?? mode,
    title: nearest?.own.title ?? title,
  }
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep)
}

function locate(written: string, home: string): string {
  const path = resolve(written === '~' || written.startsWith('~/') ? join(home, written.slice(1)) : written)
  try {
    return realpathSync(path)
  } catch {
    // Not there, or not to be looked at: then no project that could be looked at is in it.
    return path
  }
}
