// What handlers work with: everything the daemon opened at its start.

import type { Store } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import type { Identity } from './identity/single-user.ts'
import type { Hub } from './sessions/hub.ts'

export type Service = {
  readonly store: Store
  readonly identity: Identity
  readonly hub: Hub
  readonly host: string
  readonly version: string
  readonly notice: string
  readonly log: Logger
}
