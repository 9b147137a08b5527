// `telec config split`: the three layers of a configuration, out of the files of an original.

import { formatReport } from '@teleclaude/config/split/report.ts'
import { splitConfig } from '@teleclaude/config/split/split.ts'
import { wantsColour } from '@teleclaude/core/style.ts'

export type SplitOptions = {
  readonly from: string
  readonly env?: string
  readonly people?: string
  readonly to: string
  readonly dryRun?: true
  readonly json?: true
}

/** Returns the exit code.
 *  @throws ConfigError */
export function configSplit({ from, env, people, to, dryRun, json }: SplitOptions): number {
  const report = splitConfig({ from, env: env ?? null, people: people ?? null, to, dryRun: dryRun ?? false })
  const width = process.stdout.isTTY ? process.stdout.columns : null
  const colour = wantsColour(process.stdout, process.env)
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : formatReport(report, { width, colour }))
  return 0
}
