// `telec whoami`: who the service takes the caller for. `telec version`: what runs at both ends.

import { readVersion } from '@teleclaude/api/version.ts'
import { ConnectionError } from '@teleclaude/client/client.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { type ServiceOptions, withClient, withService } from '../service.ts'

export type JsonOption = ServiceOptions & { readonly json?: true }

export async function whoami(options: JsonOption): Promise<number> {
  const who = await withService(options, (client) => client.whoami())
  if (options.json) {
    process.stdout.write(`${JSON.stringify(who)}\n`)
    return 0
  }
  const name = neutralise(who.person ?? 'nobody that this service knows')
  process.stdout.write(`You are ${name}, ${who.role}, on ${neutralise(who.host)} (${who.mode} mode).\n`)
  process.stdout.write(
    `The kernel says: uid ${who.uid}${who.osUser === null ? '' : ` (${neutralise(who.osUser)})`}, gid ${who.gid}, groups ${who.groups.join(' ') || 'none'}.\n`,
  )
  process.stdout.write(`The rule: ${neutralise(who.because)}.\n`)
  return 0
}

export async function version(options: JsonOption): Promise<number> {
  const service = await serviceVersion(options)
  const versions = { telec: readVersion(), service, node: process.versions.node }
  if (options.json) process.stdout.write(`${JSON.stringify(versions)}\n`)
  else process.stdout.write(`telec ${versions.telec}, service ${service ?? 'not running'}, Node ${versions.node}\n`)
  return 0
}

/** Null where none runs: asking for a version is no reason to start one. */
async function serviceVersion(options: ServiceOptions): Promise<string | null> {
  try {
    return (await withClient(options, (client) => client.readiness())).version
  } catch (error) {
    if (error instanceof ConnectionError) return null
    throw error
  }
}
