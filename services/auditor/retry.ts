// `auditor retry`: parked entries, while an auditor may be at work or not. Entries are believed as far as that auditor has seen
// them: what it remembers says so.

import { TreeBuilder } from '@teleclaude/core/merkle.ts'
import { openStore } from '@teleclaude/store/open.ts'
import type { AuditorOptions } from './options.ts'
import { type RetryOutcome, type RetryQuery, retryParked } from './parked.ts'
import { makeSink } from './sinks.ts'
import { readState, StateError, startOf, statePath } from './state.ts'
import { VerifiedLog } from './verified-log.ts'

export async function retryOnce(options: AuditorOptions, query: RetryQuery): Promise<RetryOutcome> {
  const { directory, host, target, sinks: configured, log: logger } = options
  const state = await readState(directory, host)
  if (state === null)
    throw new StateError(`cannot try again: there is no ${statePath(directory)}; let the auditor run first`)
  await using scope = new AsyncDisposableStack()
  const store = await openStore(target)
  scope.defer(() => store.close())
  const { frontier } = state.verified
  const log = new VerifiedLog(host, { size: frontier.size, root: TreeBuilder.from(frontier).root() })
  const surroundings = { directory, store, log, logger, startAfter: startOf(state) }
  const sinks = configured.map((config) => makeSink(config, configured, surroundings))
  for (const sink of sinks) scope.defer(() => sink.close())
  return await retryParked({ store, log, sinks, stop: new AbortController().signal }, query)
}
