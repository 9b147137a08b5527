// How many sessions of a person may be live at the same time on this host, by their role.

import type { UsageLimits } from '@teleclaude/config/load.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import type { Denials } from '../audit/denials.ts'
import { actorOf } from '../audit/record.ts'
import { Turns } from '../limits/turns.ts'

export type LiveLimitOptions = {
  readonly store: { readonly sessions: Pick<Store['sessions'], 'countLive'> }
  readonly host: string
  readonly denials: Pick<Denials, 'note'>
  /** As they are now. */
  readonly limits: () => Pick<UsageLimits, 'sessions'>
}

export class LiveLimit {
  readonly #options: LiveLimitOptions
  readonly #turns = new Turns<string>()

  constructor(options: LiveLimitOptions) {
    this.#options = options
  }

  /** Starts a session of the caller's if they may have another. One after the other for each person, so that two don't take the
   *  last place both: the one api of a host is the only one that starts sessions there.
   *  @throws ProblemError 'limit-reached', and then `start` is not called */
  start<Started>(caller: Caller, start: () => Promise<Started>): Promise<Started> {
    const { person } = caller
    if (person === null) return start()
    return this.#turns.run(person, async () => {
      await this.#requirePlace(caller, person)
      return start()
    })
  }

  async #requirePlace(caller: Caller, person: string): Promise<void> {
    const { store, host, denials, limits } = this.#options
    const most = caller.role === 'public' ? 0 : limits().sessions[caller.role]
    if (most === Number.POSITIVE_INFINITY) return
    const live = await store.sessions.countLive(host, person)
    if (live < most) return
    const reason = `${live} sessions are live, and with the role ${caller.role} ${most} may be`
    denials.note({ actor: actorOf(caller), request: 'session.create', reason, session: null })
    throw new ProblemError('limit-reached', `cannot start a session: ${explain(caller, live, most)}`)
  }
}

function explain({ role }: Caller, live: number, most: number): string {
  if (most === 0) return `with the role ${role} you may have none here; ask an admin`
  return (
    `you have ${live} that are live, and with the role ${role} you may have ${most}; ` +
    'end one (telec ls --live, telec stop ID), or ask an admin for more'
  )
}
