// `telec audit keys` and `rotate-key`: who signs the log.

import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { formatKeys } from '../audit/keys-file.ts'
import { exitCodes, Failure } from '../failure.ts'
import { askYes } from '../output/ask.ts'
import { printJson } from '../output/json.ts'
import { type ServiceOptions, withService } from '../service.ts'

export async function printKeys(options: ServiceOptions & { readonly json?: true }): Promise<number> {
  const { host, keys } = await withService(options, (client) => client.readCheckpoint())
  if (options.json) printJson({ host, keys })
  else process.stdout.write(formatKeys({ host, keys }))
  return 0
}

/** The newest, with the cosignatures that it has. */
export async function printCheckpoint(options: ServiceOptions & { readonly json?: true }): Promise<number> {
  const { host, note, cosigned, size } = await withService(options, (client) => client.readCheckpoint())
  if (options.json) printJson({ host, note, cosigned, size })
  else if (note === null) throw new Failure(exitCodes.unavailable, 'cannot show a checkpoint: the log has none yet')
  else process.stdout.write(neutraliseNote(note))
  return 0
}

/** Its lines stay lines: it has to verify. */
function neutraliseNote(note: string): string {
  return note.split('\n').map(neutralise).join('\n')
}

export async function rotateKey(options: ServiceOptions & { readonly yes?: true }): Promise<number> {
  if (!options.yes) {
    const question =
      'Sign the log with a new key from now on? Whoever keeps the public keys needs the new one, too. [y/N] '
    const isSure = await askYes(question)
    if (isSure === null)
      throw new Failure(exitCodes.usage, 'cannot rotate the key of the log: there is no terminal to ask on; say --yes')
    if (!isSure) {
      process.stdout.write('Nothing was changed.\n')
      return 0
    }
  }
  const { host, keys } = await withService(options, async (client) => {
    await client.rotateAuditKey()
    return client.readCheckpoint()
  })
  process.stdout.write(`The log has a new key, which the one before has announced.\n${formatKeys({ host, keys })}`)
  return 0
}
