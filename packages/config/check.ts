// `telec config check`: every problem of a file, by whoever can read it. No service has to run.

import { basename } from 'node:path'
import { ConfigError, type ConfigFault } from './config-error.ts'
import { parseConfigFile } from './config-file.ts'
import { readEnvironment } from './environment.ts'
import type { Mode } from './layout.ts'
import { readPreferences } from './preferences.ts'
import { openSecrets } from './secrets.ts'

export const fileKinds = ['system', 'single-user', 'personal', 'secrets', 'env'] as const
export type FileKind = (typeof fileKinds)[number]

export type Checked = {
  readonly file: string
  readonly kind: FileKind
  readonly faults: readonly ConfigFault[]
  readonly warnings: readonly ConfigFault[]
}

/** @param own the file that is the caller's own */
export function guessKind(file: string, own: { readonly file: string; readonly mode: Mode }): FileKind {
  if (file === own.file) return own.mode === 'single-user' ? 'single-user' : 'personal'
  const name = basename(file)
  if (/^secrets\b.*\.ya?ml$/.test(name)) return 'secrets'
  if (/^personal\b.*\.ya?ml$/.test(name)) return 'personal'
  return /(^|\.)env$/.test(name) ? 'env' : 'system'
}

/** @param mode says how strictly secrets have to be closed */
export function checkFile(file: string, kind: FileKind, mode: Mode): Checked {
  return { file, kind, ...look(file, kind, mode) }
}

function look(file: string, kind: FileKind, mode: Mode): Pick<Checked, 'faults' | 'warnings'> {
  switch (kind) {
    case 'system':
    case 'single-user':
      return parseConfigFile(file, kind, { mustBeThere: true })
    case 'secrets': {
      const secrets = openSecrets({ mode, variable: () => null, directories: [], file })
      return { faults: secrets.faults, warnings: secrets.warnings }
    }
    case 'env':
      return readEnvironment({}, file, { secretsMustBeClosed: mode === 'system' })
    case 'personal':
      return checkPersonal(file)
  }
}

function checkPersonal(file: string): Pick<Checked, 'faults' | 'warnings'> {
  try {
    return { faults: [], warnings: readPreferences(file, 'system').warnings }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { faults: error.faults, warnings: [] }
  }
}
