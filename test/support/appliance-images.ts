// The appliance's own images, built from this checkout as its compose file says.

import { join } from 'node:path'
import { runCommand } from './checkout.ts'
import { composeCommands } from './docker-engine.ts'

const root = join(import.meta.dirname, '../..')

/** @throws Error with what the build said */
export async function buildAppliance(say: (line: string) => void): Promise<void> {
  const [command] = composeCommands()
  if (command === undefined)
    throw new Error('cannot build the appliance: there is no Docker Compose; run scripts/test as root')
  say('Building the images of the appliance ...')
  const [program, ...args] = command
  const { code, stdout, stderr } = await runCommand(program, [...args, 'build'], { cwd: root })
  if (code !== 0) throw new Error(`cannot build the appliance:\n${stdout}${stderr}`)
}
