// `telec config check`, `show`, `reload` and `schema`: what is configured, by whom, and whether it is right.

import { accessSync, constants } from 'node:fs'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { ConnectionError } from '@teleclaude/client/client.ts'
import { type Checked, checkFile, type FileKind, guessKind } from '@teleclaude/config/check.ts'
import { type ConfigFault, describeFault } from '@teleclaude/config/config-error.ts'
import { findSocket, isThere, type Mode, modeOf, singleUserLayout, systemLayout } from '@teleclaude/config/layout.ts'
import { loadSingleUserConfig } from '@teleclaude/config/load.ts'
import { readPersonalSettings } from '@teleclaude/config/personal-settings.ts'
import { jsonSchema, type SchemaName } from '@teleclaude/config/schema/json-schema.ts'
import { viewSetting } from '@teleclaude/config/setting.ts'
import { suggest } from '@teleclaude/config/suggest.ts'
import type { ConfigEntry, ConfigOrigin, ConfigView } from '@teleclaude/core/api.ts'
import { paint, wantsColour } from '@teleclaude/core/style.ts'
import { type Column, renderTable } from '@teleclaude/core/table.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { exitCodes, Failure } from '../failure.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withClient } from '../service.ts'

type Output = ServiceOptions & { readonly json?: true }

function whereWeAre(options: ServiceOptions) {
  const home = homedir()
  const found = findSocket({ flag: options.socket, env: process.env, home })
  return { found, mode: modeOf(found, home), own: singleUserLayout(home), system: systemLayout(process.platform) }
}

export async function check(files: readonly string[], options: Output & { readonly as?: FileKind }): Promise<number> {
  const { mode, own } = whereWeAre(options)
  const asked = files.map((file) => {
    const path = resolve(file)
    const kind = options.as ?? guessKind(path, { file: own.configFile, mode })
    return { path, kind, mode: path.startsWith(`${own.root}/`) ? mode : ('system' as const) }
  })
  const all = files.length > 0 ? asked : usualFiles(options)
  const checked = all.map(({ path, kind, mode }) => checkFile(path, kind, mode))
  const ok = checked.every(({ faults }) => faults.length === 0)
  if (options.json) printJson({ ok, files: checked })
  else process.stdout.write(checked.length === 0 ? nothingThere(options) : checked.map(formatChecked).join(''))
  return ok ? 0 : exitCodes.config
}

/** Those of the mode that are there; secrets that are closed to the caller are as they should be. */
function usualFiles(options: ServiceOptions): readonly { path: string; kind: FileKind; mode: Mode }[] {
  const { mode, own, system } = whereWeAre(options)
  const personal = { path: own.configFile, kind: mode === 'single-user' ? mode : 'personal', mode } as const
  const { configFile, secretsFile, envFile } = mode === 'system' ? system : own
  const shared = [
    ...(mode === 'system' ? [{ path: configFile, kind: 'system', mode } as const] : []),
    { path: secretsFile, kind: 'secrets', mode } as const,
    { path: envFile, kind: 'env', mode } as const,
  ]
  return [...shared, personal].filter(({ path, kind }) => isThere(path) && (kind !== 'secrets' || isOpen(path)))
}

function isOpen(path: string): boolean {
  try {
    accessSync(path, constants.R_OK)
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'EACCES')
  }
}

function nothingThere(options: ServiceOptions): string {
  const { mode, own, system } = whereWeAre(options)
  return `There is no configuration file (${mode === 'system' ? `${system.configFile}, ` : ''}${own.configFile}): defaults hold.\n`
}

function formatChecked({ file, kind, faults, warnings }: Checked): string {
  // Whatever the personal file says: it is one of those that are checked.
  const colour = wantsColour(process.stdout, process.env)
  const line = (label: string, style: 'red' | 'yellow', fault: ConfigFault) =>
    `${paint(label, style, colour)}  ${neutralise(describeFault(fault))}\n      ${neutralise(fault.mend)}\n`
  const state = faults.length === 0 ? paint('ok  ', 'green', colour) : paint('fail', 'red', colour)
  return [
    `${state}  ${neutralise(file)} (${kind})\n`,
    ...faults.map((fault) => line('fail', 'red', fault)),
    ...warnings.map((warning) => line('warn', 'yellow', warning)),
  ].join('')
}

export async function show(key: string | undefined, options: Output & { readonly origin?: true }): Promise<number> {
  const { view, from } = await readView(options)
  const entries = key === undefined ? view.entries : select(view.entries, key)
  if (options.json) {
    printJson({ ...view, entries, from })
    return 0
  }
  const [only] = entries
  if (only !== undefined && only.key === key && !options.origin) {
    process.stdout.write(`${neutralise(formatValue(only))}\n`)
    return 0
  }
  process.stdout.write(formatEntries(entries, options.origin ?? false, await wantsColourOn(process.stdout, options)))
  if (key !== undefined) return 0
  const { mode, found } = { ...whereWeAre(options), mode: view.mode }
  process.stdout.write(`\n${mode} mode (${found.path}, by ${found.origin}); ${from}\n`)
  for (const warning of view.warnings) process.stdout.write(`warning: ${neutralise(warning)}\n`)
  if (view.needsRestart.length > 0)
    process.stdout.write(`changed in the files, waiting for a restart: ${view.needsRestart.join(', ')}\n`)
  return 0
}

/** The service knows what it runs with. Where yours does not run, your files and your environment say what it would. */
async function readView(options: ServiceOptions): Promise<{ view: ConfigView; from: string }> {
  const { mode, own } = whereWeAre(options)
  const { view, from } = (await askService(options)) ?? withoutService(options)
  const personal = readPersonalSettings(own.configFile, mode, process.env).map(viewSetting)
  return { view: { ...view, entries: [...view.entries, ...personal] }, from }
}

/** Null where none runs. */
async function askService(options: ServiceOptions): Promise<{ view: ConfigView; from: string } | null> {
  try {
    return await withClient(options, async (client) => {
      const { role, mode } = await client.whoami()
      if (role === 'admin') return { view: await client.readConfig(), from: 'as the service runs with it' }
      const view = { mode, entries: [], warnings: [], needsRestart: [] }
      return { view, from: "your own preferences; the machine's configuration is shown to its admins" }
    })
  } catch (error) {
    if (error instanceof ConnectionError && error.code !== 'broken') return null
    throw error
  }
}

function withoutService(options: ServiceOptions): { view: ConfigView; from: string } {
  const { mode, own } = whereWeAre(options)
  if (mode === 'system') {
    const from =
      "your own preferences; the machine's service does not run, and `telec config check FILE` looks at its files"
    return { view: { mode, entries: [], warnings: [], needsRestart: [] }, from }
  }
  const { settings, warnings } = loadSingleUserConfig({ ...own, env: process.env })
  const view = {
    mode,
    entries: settings.map(viewSetting),
    warnings: warnings.map((warning) => `${describeFault(warning)}; ${warning.mend}`),
    needsRestart: [],
  }
  return { view, from: 'from the files: no service runs' }
}

/** @throws Failure where there is no such key */
function select(entries: readonly ConfigEntry[], key: string): ConfigEntry[] {
  const found = entries.filter((entry) => entry.key === key || entry.key.startsWith(`${key}.`))
  if (found.length > 0) return found
  const meant = suggest(
    key,
    entries.map((entry) => entry.key),
  )
  const next = meant === null ? '`telec config show` lists those there are' : `did you mean ${meant}?`
  throw new Failure(exitCodes.data, `cannot show ${neutralise(key)}: there is no such key; ${next}`)
}

function formatEntries(entries: readonly ConfigEntry[], withOrigin: boolean, colour: boolean): string {
  const columns: readonly Column<ConfigEntry>[] = [
    { title: 'KEY', value: (entry) => entry.key },
    { title: 'VALUE', value: formatValue, flexible: true },
    { title: 'LAYER', value: (entry) => entry.origin.layer },
    { title: 'FROM', value: (entry) => entry.origin.place ?? '-' },
    { title: 'HIDES', value: (entry) => entry.shadows.map(formatOrigin).join(', ') || '-' },
    { title: 'COUNTS', value: (entry) => entry.applies },
  ]
  return renderTable(entries, withOrigin ? columns : columns.slice(0, 2), {
    width: process.stdout.isTTY ? process.stdout.columns : null,
    colour,
  })
}

function formatOrigin({ layer, place }: ConfigOrigin): string {
  return place === null ? layer : `${layer} ${place}`
}

function formatValue({ value, secret, origin }: ConfigEntry): string {
  if (secret) return `<secret: set, from ${origin.place ?? origin.layer}>`
  if (value === null) return '-'
  return typeof value === 'string' ? value : JSON.stringify(value)
}

export async function reload(options: Output): Promise<number> {
  const answer = await withClient(options, (client) => client.reloadConfig())
  if (options.json) {
    printJson(answer)
    return 0
  }
  const { changes, needsRestart, warnings } = answer
  process.stdout.write(changes.length === 0 ? 'Reloaded: nothing has changed that counts at once.\n' : 'Reloaded:\n')
  for (const change of changes) process.stdout.write(`  ${neutralise(change)}\n`)
  if (needsRestart.length > 0)
    process.stdout.write(`Waiting for a restart of the service: ${needsRestart.join(', ')}\n`)
  for (const warning of warnings) process.stdout.write(`warning: ${neutralise(warning)}\n`)
  return 0
}

export function schema(name: SchemaName): number {
  process.stdout.write(`${JSON.stringify(jsonSchema(name), null, 2)}\n`)
  return 0
}

function printJson(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
