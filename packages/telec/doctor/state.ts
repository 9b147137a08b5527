// What is kept under the home directory: by single-user mode everything, in system mode what the person's runners need. And what
// the environment says about it. Only looks.

import { accessSync, closeSync, constants, lstatSync, openSync, readdirSync, readSync, type Stats } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { ConfigError, describeFault } from '@teleclaude/config/config-error.ts'
import { withoutPassword } from '@teleclaude/config/database-url.ts'
import { DirectoryError, refuseShared } from '@teleclaude/config/directories.ts'
import type { Layout, Mode } from '@teleclaude/config/layout.ts'
import { loadSingleUserConfig, type SingleUserConfig } from '@teleclaude/config/load.ts'
import { readPreferences } from '@teleclaude/config/preferences.ts'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import { type Finding, fail, ok, reason, warn } from './finding.ts'

/** The check whose failure is one of configuration, not of the installation. */
export const settingsCheck = 'settings'

export function checkState(layout: Layout, env: NodeJS.ProcessEnv): readonly Finding[] {
  const directories = [layout.root, layout.runDir, layout.logDir, layout.spoolDir].map(checkDirectory)
  // What is in a directory that is not its owner's alone is not believed, and one that is closed is no matter of settings.
  const isClosed = directories[0]?.state === 'fail'
  const { findings, config } = isClosed ? { findings: [], config: null } : checkSettings(layout, env)
  const databases = ['', '-wal', '-shm', '-journal'].map((suffix) => layout.database + suffix)
  return [...findings, ...directories, ...checkFiles(layout, databases), ...checkDatabase(layout, config)]
}

/** Of a person whose sessions the service of the machine keeps. */
export function checkRunnerState(layout: Layout): readonly Finding[] {
  const directories = [layout.root, layout.logDir, layout.spoolDir].map(checkDirectory)
  return [...checkPersonal(layout, 'system'), ...directories, ...checkFiles(layout, [])]
}

function checkSettings(
  layout: Layout,
  env: NodeJS.ProcessEnv,
): { findings: readonly Finding[]; config: SingleUserConfig | null } {
  try {
    const { config, warnings } = loadSingleUserConfig({ ...layout, env })
    const what = `host ${config.host}, log level ${config.logLevel}`
    const unwise = warnings.map((warning) => warn(settingsCheck, describeFault(warning), warning.mend))
    return { findings: [ok(settingsCheck, what), ...unwise, ...checkPersonal(layout, 'single-user')], config }
  } catch (error) {
    return { findings: explainFaults(error), config: null }
  }
}

function checkPersonal({ configFile }: Layout, mode: Mode): readonly Finding[] {
  try {
    const { warnings } = readPreferences(configFile, mode)
    return warnings.map((warning) => warn(settingsCheck, describeFault(warning), warning.mend))
  } catch (error) {
    return explainFaults(error)
  }
}

function explainFaults(error: unknown): readonly Finding[] {
  if (!(error instanceof ConfigError)) throw error
  return error.faults.map((fault) => fail(settingsCheck, describeFault(fault), fault.mend))
}

function checkDirectory(path: string): Finding {
  const check = 'directory'
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined) return checkMissingDirectory(path)
    refuseShared(path, stats)
    const close = `chmod 700 ${shellQuote(path)}`
    if ((stats.mode & 0o700) !== 0o700)
      return fail(check, `${path} is closed to you (mode ${formatMode(stats)})`, close)
    if ((stats.mode & 0o077) === 0) return ok(check, `${path} is yours alone`)
    return warn(check, `${path} is open to others (mode ${formatMode(stats)})`, close)
  } catch (error) {
    if (error instanceof DirectoryError) {
      const [, mend = error.mend] = /: (.*)$/.exec(error.mend) ?? []
      return fail(check, `${path}: ${error.why}`, mend)
    }
    return fail(check, `cannot look at ${path}: ${reason(error)}`, `ls -ld ${shellQuote(dirname(path))}`)
  }
}

function checkMissingDirectory(path: string): Finding {
  const parent = dirname(path)
  // Where the parent is missing too, it has a finding of its own.
  if (lstatSync(parent, { throwIfNoEntry: false }) === undefined)
    return ok('directory', `${path} is made when it is needed`)
  try {
    accessSync(parent, constants.W_OK)
    return ok('directory', `${path} is made when it is needed`)
  } catch (error) {
    const what = `${path} is not there and can not be made: ${reason(error)}`
    return fail(
      'directory',
      what,
      `make ${parent} writable, or set HOME to a directory that is: ls -ld ${shellQuote(parent)}`,
    )
  }
}

/** The socket is not among them: whether it is one comes first (daemon.ts). */
function checkFiles(layout: Layout, databases: readonly string[]): readonly Finding[] {
  const paths = [...databases, ...listFiles(layout.logDir), ...listFiles(layout.spoolDir)]
  const findings = paths.flatMap((path) => checkFile(path) ?? [])
  return findings.length > 0 ? findings : [ok('files', 'no file is open to others')]
}

/** Null also where it can't be looked at: that is the finding of its directory. */
function look(path: string): Stats | null {
  try {
    return lstatSync(path)
  } catch {
    return null
  }
}

function listFiles(directory: string): readonly string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true })
    return entries.flatMap((entry) => (entry.isDirectory() ? [] : join(directory, entry.name)))
  } catch {
    return []
  }
}

function checkFile(path: string): Finding | null {
  const stats = look(path)
  if (stats === null) return null
  const quoted = shellQuote(path)
  if (!stats.isFile()) return fail('files', `${path} is not a plain file`, `mv ${quoted} ${shellQuote(`${path}.old`)}`)
  const ownUid = process.getuid?.()
  if (stats.uid !== ownUid)
    return fail('files', `${path} belongs to uid ${stats.uid}`, `sudo chown ${ownUid} ${quoted}`)
  if ((stats.mode & 0o077) === 0) return null
  return warn('files', `${path} is open to others (mode ${formatMode(stats)})`, `chmod 600 ${quoted}`)
}

function formatMode({ mode }: Stats): string {
  return (mode & 0o7777).toString(8).padStart(4, '0')
}

const sqliteMagic = 'SQLite format 3\0'

/** What the daemon itself says of its database is another finding: it may have been started with other settings. */
function checkDatabase({ database }: Layout, config: SingleUserConfig | null): readonly Finding[] {
  const check = 'database-file'
  if (config === null) return []
  if (config.databaseUrl !== null) {
    return [ok(check, `PostgreSQL: ${withoutPassword(config.databaseUrl.reveal())}`)]
  }
  const stats = look(database)
  if (stats === null) return [ok(check, `${database} is made at the first start`)]
  // What is no file is among the findings of the files.
  if (!stats.isFile()) return []
  try {
    if (stats.size === 0 || readStart(database, sqliteMagic.length) === sqliteMagic)
      return [ok(check, `SQLite: ${database}`)]
    const mend = `mv ${shellQuote(database)} ${shellQuote(join(dirname(database), `${basename(database)}.old`))}`
    return [fail(check, `${database} is not an SQLite database`, mend)]
  } catch (error) {
    return [fail(check, `cannot read ${database}: ${reason(error)}`, `ls -l ${shellQuote(database)}`)]
  }
}

function readStart(path: string, length: number): string {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(length)
    return bytes.toString('latin1', 0, readSync(file, bytes, 0, length, 0))
  } finally {
    closeSync(file)
  }
}
