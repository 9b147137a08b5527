// `telec people ls` and `rebind`: the accounts that use the service, and what an admin says of one that has become another.

import type { AccountView } from '@teleclaude/core/api.ts'
import { type Column, renderTable } from '@teleclaude/core/table.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { exitCodes, Failure } from '../failure.ts'
import { askYes } from '../output/ask.ts'
import { printJson } from '../output/json.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withClient } from '../service.ts'

type Output = ServiceOptions & { readonly json?: true }

const columns: readonly Column<AccountView>[] = [
  { title: 'UID', value: ({ uid }) => String(uid), align: 'right' },
  { title: 'ACCOUNT', value: ({ osUser }) => osUser ?? '-' },
  { title: 'PERSON', value: ({ person, quarantined }) => (quarantined ? '-' : (person ?? '-')) },
  { title: 'ROLE', value: ({ role, quarantined }) => (quarantined ? 'public' : role) },
  {
    title: 'STATE',
    value: describeState,
    style: ({ quarantined }) => (quarantined ? 'red' : null),
    flexible: true,
  },
]

export async function listPeople(options: Output): Promise<number> {
  const colour = !options.json && (await wantsColourOn(process.stdout, options))
  const { accounts } = await withClient(options, (client) => client.listAccounts())
  if (options.json) {
    printJson({ accounts })
    return 0
  }
  if (accounts.length === 0) {
    process.stdout.write('Nobody has used this service yet.\n')
    return 0
  }
  const width = process.stdout.isTTY ? process.stdout.columns : null
  process.stdout.write(renderTable(accounts, columns, { width, colour }))
  return 0
}

function describeState({ uid, osUser, bound, quarantined }: AccountView): string {
  if (bound === null) return 'not used yet'
  if (!quarantined) return `bound since ${bound.at}`
  const was = bound.osUser === null ? 'without an account' : `the account ${bound.osUser}`
  const now = osUser === null ? 'has no account now' : 'is another account now'
  return `uid ${bound.uid} was ${was}; uid ${uid} ${now}: quarantined`
}

export async function rebind(account: string, options: Output & { readonly yes?: true }): Promise<number> {
  const now = await withClient(options, (client) => client.rebindAccount({ account, dryRun: true }))
  if (!options.json) process.stdout.write(describeRebind(now))
  if (!options.yes && !(await isConfirmed(now))) {
    process.stdout.write('Nothing was changed.\n')
    return 0
  }
  const rebound = await withClient(options, (client) => client.rebindAccount({ account: String(now.uid) }))
  if (options.json) printJson(rebound)
  else process.stdout.write(`Done: ${neutralise(describeOutcome(rebound))}\n`)
  return 0
}

function describeRebind(view: AccountView): string {
  return `${neutralise(describeState(view))}\nBound anew, ${neutralise(describeOutcome(view))}\n`
}

function describeOutcome({ uid, osUser, person, role, because, place }: AccountView): string {
  const account = osUser === null ? `uid ${uid}` : `the account ${osUser} (uid ${uid})`
  const where = place === null ? '' : `, ${place}`
  if (person === null) return `${account} is still nobody's: ${because}`
  return `${account} is ${person}, ${role}, with every session of that person (${because}${where})`
}

/** What another human had could be shown to somebody: it is asked once more. */
async function isConfirmed({ uid }: AccountView): Promise<boolean> {
  const answer = await askYes('Bind it? [y/N] ')
  if (answer !== null) return answer
  const next = 'Look at what it would be above, then say --yes'
  throw new Failure(exitCodes.usage, `cannot rebind uid ${uid}: there is no terminal to ask on\n${next}`)
}
