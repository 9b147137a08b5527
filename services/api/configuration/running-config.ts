// The configuration that a service runs with, and its reload: all of it or nothing, on the record before it counts.

import { statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigError, describeFault } from '@teleclaude/config/config-error.ts'
import type { ConfigSources, Loaded } from '@teleclaude/config/layers.ts'
import type { AuditPolicy, Lifetimes } from '@teleclaude/config/load.ts'
import type { LogLevel } from '@teleclaude/config/log-level.ts'
import { viewSetting } from '@teleclaude/config/setting.ts'
import type { ConfigView, ReloadAnswer } from '@teleclaude/core/api.ts'
import type { AuditActor, AuditEvent } from '@teleclaude/core/audit.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { Logger } from 'pino'
import { describeSettings, findChanges, splitForRecord } from './changes.ts'

/** What of a configuration can change while a service runs. What can't was taken from it at the start. */
type Live = {
  readonly notice: string
  readonly logLevel: LogLevel
  readonly lifetimes: Lifetimes
  readonly auditPolicy: AuditPolicy
  readonly unconfirmedSinks: readonly string[]
}

export type ConfigLoader<Its extends Live> = {
  readonly mode: ConfigView['mode']
  readonly files: Pick<ConfigSources, 'configFile' | 'secretsFile' | 'envFile'>
  /** @throws ConfigError */
  load(): Loaded<Its>
}

/** Editors write in place, or beside and rename: a file has to have been left alone for this long. */
const quietMs = 150
const tries = 20
const maxRecordedFaults = 50

export class RunningConfig<Its extends Live = Live> {
  readonly #loader: ConfigLoader<Its>
  readonly #log: Logger
  #loaded: Loaded<Its>
  #needsRestart: readonly string[] = []
  #reloading: Promise<unknown> = Promise.resolve()
  readonly #listeners: (() => void)[] = []

  constructor(loader: ConfigLoader<Its>, loaded: Loaded<Its>, log: Logger) {
    this.#loader = loader
    this.#loaded = loaded
    this.#log = log
  }

  get current(): Its {
    return this.#loaded.config
  }

  view(): ConfigView {
    return {
      mode: this.#loader.mode,
      entries: this.#loaded.settings.map(viewSetting),
      warnings: this.#warnings(),
      needsRestart: [...this.#needsRestart],
    }
  }

  /** Where the value of a key is from, FILE:LINE or a variable's name; null where nobody says it. */
  placeOf(key: string): string | null {
    return this.#loaded.settings.find((setting) => setting.key === key)?.origin.place ?? null
  }

  /** What the record says of the configuration that a service starts with. */
  startEvents(actor: AuditActor): readonly AuditEvent[] {
    return events('config.loaded', actor, describeSettings(this.#loaded.settings), {})
  }

  /** Called each time after a reload has taken effect, before whoever asked for it is answered. */
  onReloaded(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** One after the other. `record` resolves once it is durable; where it fails, the old configuration stays.
   *  @throws ProblemError 'config' for files that can't be used, after that is on the record */
  reload(actor: AuditActor, record: (events: readonly AuditEvent[]) => Promise<unknown>): Promise<ReloadAnswer> {
    const done = this.#reloading.then(() => this.#reload(actor, record))
    this.#reloading = done.catch(() => undefined)
    return done
  }

  async #reload(actor: AuditActor, record: (events: readonly AuditEvent[]) => Promise<unknown>): Promise<ReloadAnswer> {
    const next = await this.#loadSettled().catch(async (error: unknown) => {
      if (!(error instanceof ConfigError)) throw error
      await record(events('config.refused', actor, describeRefusal(error), {}))
      throw new ProblemError('config', `${error.message}\nThe configuration that was loaded before stays.`, {
        cause: error,
      })
    })
    const running = this.#loaded
    const { live, needsRestart } = findChanges(running.settings, next.settings)
    await record(events('config.reloaded', actor, live, { needsRestart: needsRestart.join(', ') }))
    const kept = new Map(running.settings.map((setting) => [setting.key, setting]))
    this.#loaded = {
      config: next.config,
      // What runs is what was there at the start.
      settings: next.settings.map((setting) =>
        setting.applies === 'restart' ? (kept.get(setting.key) ?? setting) : setting,
      ),
      warnings: next.warnings,
    }
    this.#needsRestart = needsRestart
    this.#log.level = next.config.logLevel
    this.#log.info({ changes: live, needsRestart }, 'configuration reloaded')
    for (const listener of this.#listeners) listener()
    return { changes: [...live], needsRestart: [...needsRestart], warnings: this.#warnings() }
  }

  /** A file that is half written can be a good configuration of fewer people. */
  async #loadSettled(): Promise<Loaded<Its>> {
    for (let attempt = 0; attempt < tries; attempt++) {
      const before = this.#fingerprint()
      await delay(quietMs)
      if (this.#fingerprint() !== before) continue
      const loaded = this.#loader.load()
      if (this.#fingerprint() === before) return loaded
    }
    const problem = 'is being written to again and again'
    const place = { file: this.#loader.files.configFile, line: 1, column: 1, key: '' }
    throw new ConfigError([{ ...place, problem, mend: 'try again when it is left alone' }])
  }

  #fingerprint(): string {
    const { configFile, secretsFile, envFile } = this.#loader.files
    return [configFile, secretsFile, envFile].map(fingerprint).join(' ')
  }

  #warnings(): string[] {
    return this.#loaded.warnings.map((warning) => `${describeFault(warning)}; ${warning.mend}`)
  }
}

/** A file can have more faults than anybody reads, and whoever may reload it must not fill the record with them. */
function describeRefusal({ faults }: ConfigError): readonly string[] {
  const more = faults.length > maxRecordedFaults ? [`and ${faults.length - maxRecordedFaults} more`] : []
  return [...faults.slice(0, maxRecordedFaults).map(describeFault), ...more]
}

function fingerprint(file: string): string {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true })
    return [dev, ino, size, mtimeNs, ctimeNs].join('.')
  } catch (error) {
    // What can't be looked at is for the loader to say.
    return error instanceof Error && 'code' in error ? String(error.code) : 'none'
  }
}

function events(
  action: AuditEvent['action'],
  actor: AuditActor,
  lines: readonly string[],
  detail: AuditEvent['detail'],
): readonly AuditEvent[] {
  const parts = splitForRecord(lines)
  return parts.map((text, index) => ({
    action,
    actor,
    session: null,
    detail: { ...detail, part: index + 1, parts: parts.length, lines: text },
  }))
}
