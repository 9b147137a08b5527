// What handlers work with: everything the daemon opened at its start.

import type { Whoami } from '@teleclaude/core/api.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import type { AccessGrants } from './access/grants.ts'
import type { Assurance } from './audit/assurance.ts'
import type { AuditorWatch } from './audit/auditor-watch.ts'
import type { Denials } from './audit/denials.ts'
import type { LogSigner } from './audit/log-signer.ts'
import type { RunningConfig } from './configuration/running-config.ts'
import type { News } from './events/news.ts'
import type { RequestCounts } from './http/request-counts.ts'
import type { Accounts } from './identity/accounts.ts'
import type { Identity } from './identity/identity.ts'
import type { Limits } from './limits/user-limits.ts'
import type { Hub } from './sessions/hub.ts'
import type { LiveLimit } from './sessions/live-limit.ts'
import type { OpenStreams } from './streams/open-streams.ts'
import type { TranscriptPages } from './transcript/pages.ts'

export type Service = {
  readonly mode: Whoami['mode']
  readonly store: Store
  readonly identity: Identity
  readonly accounts: Accounts
  readonly hub: Hub
  readonly access: AccessGrants
  readonly streams: OpenStreams
  readonly pages: TranscriptPages
  readonly news: News
  readonly denials: Denials
  readonly requests: RequestCounts
  readonly signer: LogSigner
  readonly auditor: AuditorWatch
  readonly assurance: Assurance
  readonly limits: Limits
  readonly liveLimit: LiveLimit
  readonly host: string
  readonly version: string
  readonly config: RunningConfig
  readonly log: Logger
}
