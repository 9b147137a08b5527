// The API as a service of the whole machine (system.ts): `node services/api/main.ts [--wait]`. In single-user mode telec runs it
// (single-user.ts).

import { systemLayout } from '@teleclaude/config/layout.ts'
import { readKernelFacts } from './kernel-facts.ts'
import { runSystem } from './system.ts'

/** sysexits(3) */
const usage = 64
const unavailable = 69
const software = 70

const usageText = `usage: main.ts [--wait] [--new-audit-key]
Serves ${systemLayout(process.platform).socket}. With --wait, what can be mended meanwhile (configuration, database, schema, socket
directory) is waited for. With --new-audit-key, where the audit log's key is lost for good, the log goes on with a new one.
`

/** What their messages say is for a person to mend. */
const expectedErrors = ['StoreError', 'DirectoryError', 'SocketError', 'PeerError']

async function main(words: readonly string[]): Promise<number> {
  if (!words.every((word) => word === '--wait' || word === '--new-audit-key')) {
    process.stderr.write(usageText)
    return usage
  }
  const wait = words.includes('--wait')
  const newAuditKey = words.includes('--new-audit-key')
  try {
    const facts = readKernelFacts()
    await runSystem({ layout: systemLayout(process.platform), env: process.env, facts, wait, newAuditKey })
    return 0
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const isExpected = expectedErrors.includes(error.name)
    if ('exitCode' in error && typeof error.exitCode === 'number') {
      process.stderr.write(`teleclaude api: ${error.message}\n`)
      return error.exitCode
    }
    process.stderr.write(`teleclaude api: ${isExpected ? error.message : error.stack}\n`)
    return isExpected ? unavailable : software
  }
}

// Whatever is still under way is of no use any more: what counts was closed before.
process.exit(await main(process.argv.slice(2)))
