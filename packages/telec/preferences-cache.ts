// What was read of a personal file, kept beside the compiled code: to read it takes schemas and YAML, which is more than the rest
// of `telec ls`. Only what is exactly the same file, read by the same program, is taken from here.

import { createHash } from 'node:crypto'
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Mode } from '@teleclaude/config/layout.ts'
import type { Preferences } from '@teleclaude/config/preferences.ts'

/** A file that was changed again within the same tick of its file system's clock would look the same. */
const settledMs = 2_000
const readers = ['preferences.ts', 'schema/personal.ts', 'schema/system.ts'].map((name) =>
  fileURLToPath(import.meta.resolve(`@teleclaude/config/${name}`)),
)

type Cached = { readonly stamp: string; readonly preferences: Preferences }

export type PreferencesCache = {
  /** Null where the file has changed since, or nothing was kept of it. */
  readonly kept: Preferences | null
  keep(preferences: Preferences): void
}

/** To be opened before the file is read: what is read later than it says is not kept for what it says. */
export function openPreferencesCache(file: string, mode: Mode): PreferencesCache {
  const path = cachePath(file)
  const { stamp, isSettled } = look(file, mode)
  return {
    kept: readKept(path, stamp),
    keep(preferences) {
      if (isSettled) write(path, { stamp, preferences })
    },
  }
}

function readKept(path: string, stamp: string): Preferences | null {
  try {
    const descriptor = openSync(path, 'r')
    try {
      const { uid, mode } = fstatSync(descriptor)
      // It decides what runs as its reader, as the file itself does.
      if (uid !== process.geteuid?.() || (mode & 0o022) !== 0) return null
      const cached: Cached = JSON.parse(readFileSync(descriptor, 'utf8'))
      return cached.stamp === stamp ? cached.preferences : null
    } finally {
      closeSync(descriptor)
    }
  } catch {
    return null
  }
}

function write(path: string, cached: Cached): void {
  const beside = `${path}.${process.pid}`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(beside, JSON.stringify(cached), { mode: 0o600, flag: 'wx' })
    renameSync(beside, path)
  } catch {
    // A full or closed cache is no reason to fail: the file is read again then.
  }
}

function cachePath(file: string): string {
  const name = createHash('sha256').update(file).digest('hex').slice(0, 16)
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'teleclaude', `preferences-${name}.json`)
}

/** Owner and rights of the file are in its change time (inode(7)). */
function look(file: string, mode: Mode): { readonly stamp: string; readonly isSettled: boolean } {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false })
  if (stats === undefined) return { stamp: '', isSettled: false }
  const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = stats
  const program = readers.map((reader) => statSync(reader).mtimeMs)
  return {
    stamp: [mode, dev, ino, size, mtimeNs, ctimeNs, ...program].join(' '),
    isSettled: Date.now() - Number(ctimeMs) > settledMs,
  }
}
