// What handlers work with: everything the daemon opened at its start.

import type { Whoami } from '@teleclaude/core/api.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import type { Denials } from './audit/denials.ts'
import type { RunningConfig } from './configuration/running-config.ts'
import type { Identity } from './identity/identity.ts'
import type { Hub } from './sessions/hub.ts'

export type Service = {
  readonly mode: Whoami['mode']
  readonly store: Store
  readonly identity: Identity
  readonly hub: Hub
  readonly denials: Denials
  readonly host: string
  readonly version: string
  readonly config: RunningConfig
  readonly log: Logger
}
