// `telec whoami`: who the service takes the caller for. `telec version`: what runs at both ends.

import { readVersion } from '@teleclaude/api/version.ts'
import { ConnectionError } from '@teleclaude/client/client.ts'
import type { ExplanationStep } from '@teleclaude/core/api.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { printJson } from '../output/json.ts'
import { type ServiceOptions, withClient, withService } from '../service.ts'

export type JsonOption = ServiceOptions & { readonly json?: true }

export async function whoami(options: JsonOption & { readonly explain?: true }): Promise<number> {
  const who = await withService(options, (client) => client.whoami({ explain: options.explain ?? false }))
  if (options.json) {
    printJson(who)
    return 0
  }
  const name = neutralise(who.person ?? 'nobody that this service knows')
  process.stdout.write(`You are ${name}, ${who.role}, on ${neutralise(who.host)} (${who.mode} mode).\n`)
  if (who.refusal !== null) process.stdout.write(`You may do nothing here: ${neutralise(who.refusal)}.\n`)
  if (who.explanation !== null) {
    process.stdout.write(formatSteps(who.explanation))
    return 0
  }
  process.stdout.write(
    `The kernel says: uid ${who.uid}${who.osUser === null ? '' : ` (${neutralise(who.osUser)})`}, gid ${who.gid}, groups ${who.groups.join(' ') || 'none'}.\n`,
  )
  process.stdout.write(`The rule: ${neutralise(who.because)}.\n`)
  return 0
}

function formatSteps(steps: readonly ExplanationStep[]): string {
  const width = Math.max(...steps.map(({ step }) => step.length))
  const lines = steps.map(({ step, says, place }) => {
    const where = place === null ? '' : `\n${' '.repeat(width + 4)}${neutralise(place)}`
    return `  ${step.padEnd(width)}  ${neutralise(says)}${where}\n`
  })
  return lines.join('')
}

export async function version(options: JsonOption): Promise<number> {
  const service = await serviceVersion(options)
  const versions = { telec: readVersion(), service, node: process.versions.node }
  if (options.json) printJson(versions)
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
