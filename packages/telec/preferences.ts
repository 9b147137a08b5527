// The caller's own preferences: read once, by the commands that use them. Where there is no file, nothing is loaded that could
// read one: schemas and YAML would take longer than the rest of `telec ls`.

import { homedir } from 'node:os'
import { findSocket, isThere, modeOf, singleUserLayout } from '@teleclaude/config/layout.ts'
import type { Preferences } from '@teleclaude/config/preferences.ts'
import { wantsColour } from '@teleclaude/core/style.ts'
import { openPreferencesCache } from './preferences-cache.ts'
import type { ServiceOptions } from './service.ts'

let loading: Promise<Preferences> | null = null

/** @throws ConfigError with all that is wrong with the file */
export function loadPreferences(options: ServiceOptions): Promise<Preferences> {
  loading ??= load(options)
  return loading
}

async function load({ socket: flag }: ServiceOptions): Promise<Preferences> {
  const home = homedir()
  const file = singleUserLayout(home).configFile
  if (!isThere(file)) return {}
  const mode = modeOf(findSocket({ flag, env: process.env, home }), home)
  const cache = openPreferencesCache(file, mode)
  if (cache.kept !== null) return cache.kept
  const { readPreferences } = await import('@teleclaude/config/preferences.ts')
  const { preferences } = readPreferences(file, mode)
  cache.keep(preferences)
  return preferences
}

/** Whether to colour what goes to the stream: every command asks here.
 *  @throws ConfigError as `loadPreferences` */
export async function wantsColourOn(stream: { readonly isTTY?: boolean }, options: ServiceOptions): Promise<boolean> {
  const preferences = await loadPreferences(options)
  return wantsColour(stream, process.env, preferences.colours)
}
