// One effective value, and everything that can be said of it: what it is, who said so, and what it hides.

import type { ConfigEntry, ConfigOrigin } from '@teleclaude/core/api.ts'
import { z } from 'zod'
import { Secret } from './secret.ts'

export type Setting = {
  /** Path of keys; people and groups have one each, by name and number. */
  readonly key: string
  /** Null: not set. */
  readonly value: ConfigEntry['value'] | Secret
  readonly origin: ConfigOrigin
  /** What would count if that were not there, nearest first. */
  readonly shadows: readonly ConfigOrigin[]
  readonly applies: ConfigEntry['applies']
}

/** How it crosses the socket and is shown: without what is secret. */
export function viewSetting({ key, value, origin, shadows, applies }: Setting): ConfigEntry {
  const isSecret = value instanceof Secret
  return { key, value: isSecret ? null : value, secret: isSecret, origin, shadows: [...shadows], applies }
}

/** Two values of the same key, compared without showing them. */
export function isSameValue(one: Setting['value'], other: Setting['value']): boolean {
  if (one instanceof Secret && other instanceof Secret) return one.reveal() === other.reveal()
  if (one instanceof Secret || other instanceof Secret) return false
  return JSON.stringify(one) === JSON.stringify(other)
}

const json = z.json()

/** YAML knows numbers that JSON does not. */
export function asJson(value: unknown): ConfigEntry['value'] {
  const parsed = json.safeParse(value)
  return parsed.success ? parsed.data : String(value)
}
