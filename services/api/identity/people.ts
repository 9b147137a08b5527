// `GET /v1/people` and `POST /v1/people/rebind`: the accounts that use the service, and what an admin says of one that has
// become another.

import type { AccountList, AccountView, rebindSchema } from '@teleclaude/core/api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { formatInstant } from '@teleclaude/core/instant.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { z } from 'zod'
import { actorOf } from '../audit/record.ts'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import { accountNamed } from './directory.ts'

/** uid -1 is nobody's (setreuid(2)). */
const noUid = 0xffff_ffff

type Asked = { readonly service: Service; readonly caller: Caller }

export async function listAccounts({ service }: Asked): Promise<Answer> {
  const json: AccountList = { accounts: service.accounts.uids().map((uid) => viewAccount(service, uid)) }
  return { status: 200, json }
}

export async function rebindAccount({
  service,
  caller,
  body,
}: Asked & { readonly body: z.output<typeof rebindSchema> }): Promise<Answer> {
  const uid = findUid(body.account)
  const account = viewAccount(service, uid)
  if (!account.quarantined) {
    const who = account.osUser ?? 'an account without a name'
    const why = `it is ${who}, and nobody else was seen under that uid or name`
    throw new ProblemError('conflict', `cannot rebind uid ${uid}: ${why}; there is nothing to do`)
  }
  if (body.dryRun) return { status: 200, json: account }
  await service.accounts.rebind(actorOf(caller), account)
  return { status: 200, json: viewAccount(service, uid) }
}

function findUid(account: string): number {
  const uid = /^\d+$/.test(account) ? Number(account) : accountNamed(account)?.uid
  if (uid !== undefined && uid < noUid) return uid
  throw new ProblemError('not-found', `cannot rebind ${account}: there is no account of that name on this machine`)
}

function viewAccount({ accounts, identity, config }: Service, uid: number): AccountView {
  const { caller, isStranger } = identity.imagineUid(uid)
  const standing = accounts.standingOf(uid, caller.osUser)
  const bound = standing.kind === 'new' ? null : standing.kind === 'bound' ? standing.account : standing.was
  const { person, role, because, rule } = caller
  return {
    uid,
    osUser: caller.osUser,
    bound: bound === null ? null : { uid: bound.uid, osUser: bound.osUser, at: formatInstant(bound.boundAtUs) },
    quarantined: isStranger,
    person,
    role,
    because,
    place: rule === null ? null : config.placeOf(rule),
  }
}
