// What became other between two configurations, for people and for the record. Secrets are compared and never shown.

import { Secret } from '@teleclaude/config/secret.ts'
import { isSameValue, type Setting } from '@teleclaude/config/setting.ts'

export type Changes = {
  /** One line each: `KEY: BEFORE -> AFTER`. */
  readonly live: readonly string[]
  /** Keys whose new value waits for a restart. */
  readonly needsRestart: readonly string[]
}

export function findChanges(before: readonly Setting[], after: readonly Setting[]): Changes {
  const old = byKey(before)
  const young = byKey(after)
  const changed = [...new Set([...old.keys(), ...young.keys()])].filter(
    (key) => !isSameValue(old.get(key)?.value ?? null, young.get(key)?.value ?? null),
  )
  const waits = (key: string) => (young.get(key) ?? old.get(key))?.applies === 'restart'
  return {
    live: changed.filter((key) => !waits(key)).map((key) => describeChange(key, old.get(key), young.get(key))),
    needsRestart: changed.filter(waits),
  }
}

function byKey(settings: readonly Setting[]): ReadonlyMap<string, Setting> {
  return new Map(settings.map((setting) => [setting.key, setting]))
}

function describeChange(key: string, before: Setting | undefined, after: Setting | undefined): string {
  if (before?.value instanceof Secret || after?.value instanceof Secret) return `${key}: changed`
  return `${key}: ${describeValue(before)} -> ${describeValue(after)}`
}

/** Every value, one line each: what a service starts with. */
export function describeSettings(settings: readonly Setting[]): readonly string[] {
  return settings.map((setting) => `${setting.key}: ${describeValue(setting)}`)
}

function describeValue(setting: Setting | undefined): string {
  if (setting === undefined || setting.value === null) return 'not set'
  return setting.value instanceof Secret ? 'set' : JSON.stringify(setting.value)
}

/** An audit entry has room for 64 KiB, and a line can be some KiB. */
const maxPartBytes = 16 * 1024

/** The lines in as many texts as the record needs entries for. There is at least one. */
export function splitForRecord(lines: readonly string[]): readonly string[] {
  const parts: string[] = ['']
  for (const line of lines) {
    const last = parts.at(-1) ?? ''
    const longer = last === '' ? line : `${last}\n${line}`
    if (last !== '' && Buffer.byteLength(longer) > maxPartBytes) parts.push(line)
    else parts.splice(-1, 1, longer)
  }
  return parts
}
