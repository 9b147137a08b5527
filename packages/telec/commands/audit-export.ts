// `telec audit export`: the whole log, as it verifies and as it can be kept.

import { explainCut } from '../audit/export-stream.ts'
import { refuseTerminal, writeOut } from '../output/new-file.ts'
import { type ServiceOptions, withService } from '../service.ts'

export async function exportLog(options: ServiceOptions & { readonly output?: string }): Promise<number> {
  refuseTerminal('the log', options.output)
  const stream = await withService(options, (client) => client.readAuditExport())
  try {
    await writeOut(stream, options.output)
  } catch (error) {
    throw explainCut(error, 'export all of the log')
  }
  return 0
}
