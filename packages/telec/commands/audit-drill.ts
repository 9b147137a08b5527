// `telec audit drill`: a copy of the log is tampered with in every way there is, and each has to be found. The log itself is only read.

import { type DrillReport, type DrillResult, drill } from '@teleclaude/core/audit-drill.ts'
import { type ExportLine, formatExportLine, parseExportLine } from '@teleclaude/core/audit-export.ts'
import { encodeBase64 } from '@teleclaude/core/base64.ts'
import { parseCheckpoint } from '@teleclaude/core/checkpoint.ts'
import { parseNote } from '@teleclaude/core/signed-note.ts'
import { paint, type Style } from '@teleclaude/core/style.ts'
import { type Column, renderTable } from '@teleclaude/core/table.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { readExport } from '../audit/export-stream.ts'
import { readKeysFile } from '../audit/keys-file.ts'
import { exitCodes } from '../failure.ts'
import { printJson } from '../output/json.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withService } from '../service.ts'

/** Some copies of the log are in memory at the same time. */
const maxEntries = 100_000

const outcomes: Readonly<Record<DrillResult['outcome'], { readonly says: string; readonly style: Style }>> = {
  found: { says: 'found', style: 'green' },
  missed: { says: 'MISSED', style: 'red' },
  'no-auditor': { says: 'not found: nothing is cosigned', style: 'yellow' },
  'not-tried': { says: 'not tried: the log is too short', style: 'dim' },
}

/** Returns 0 where the log is whole and everything that was tried is found, else 65. */
export async function drillLog(
  options: ServiceOptions & { readonly keys?: string; readonly json?: true },
): Promise<number> {
  const colour = !options.json && (await wantsColourOn(process.stdout, options))
  const keys = options.keys === undefined ? [] : readKeysFile(options.keys).keys
  const lines = await withService(options, (client) => readBeginning(readExport(client, 'Read'), maxEntries))
  const report = await drill(lines, { keys, since: null })
  const tried = report.results.filter(({ outcome }) => outcome !== 'not-tried')
  const isEachFound = report.holds && tried.every(({ outcome }) => outcome === 'found')
  if (options.json) printJson({ holds: isEachFound, log: report.log, results: report.results })
  else process.stdout.write(describe(report, colour))
  return isEachFound ? 0 : exitCodes.data
}

/** The export, or where that has more entries, the log as it was at the last checkpoint over no more than so many. */
async function readBeginning(lines: AsyncIterable<string>, most: number): Promise<readonly string[]> {
  const kept: string[] = []
  let entries = 0
  /** Lines up to and with the last checkpoint. */
  let last = { count: 0, note: '' }
  for await (const line of lines) {
    const parsed = parseExportLine(line)
    if (parsed?.type === 'entry' && ++entries > most && last.count > 0)
      return closeAt(kept.slice(0, last.count), last.note)
    kept.push(line)
    if (parsed?.type === 'checkpoint') last = { count: kept.length, note: parsed.note }
  }
  return kept
}

function closeAt(lines: readonly string[], note: string): readonly string[] {
  const checkpoint = parseCheckpoint(parseNote(note)?.text ?? '')
  const [first = '', ...rest] = lines
  const header = parseExportLine(first)
  if (checkpoint === null || header?.type !== 'log') return lines
  const log = header.keys.log.filter(({ fromSeq }) => fromSeq <= checkpoint.size)
  const head: ExportLine = { ...header, keys: { ...header.keys, log } }
  const end: ExportLine = { type: 'end', size: checkpoint.size, root: encodeBase64(checkpoint.root) }
  return [formatExportLine(head), ...rest, formatExportLine(end)]
}

function describe({ log, results }: DrillReport, colour: boolean): string {
  const name = neutralise(log.host ?? 'an unknown host')
  if (results.length === 0) {
    return `Nothing was tried: something is wrong with the log of ${name} as it is. What: telec audit verify\n`
  }
  const columns: readonly Column<DrillResult>[] = [
    { title: 'TAMPERING', value: (result) => result.name },
    { title: 'TAKES', value: ({ takes }) => (takes === 'log-key' ? 'the database and the key' : 'the database') },
    {
      title: 'OUTCOME',
      value: ({ outcome }) => outcomes[outcome].says,
      style: ({ outcome }) => outcomes[outcome].style,
    },
    { title: 'BY', value: ({ faults }) => [...new Set(faults.map(({ kind }) => kind))].join(', ') },
    { title: 'WHAT IS DONE', value: ({ says }) => says, flexible: true },
  ]
  const width = process.stdout.isTTY ? process.stdout.columns : null
  const unseen = results.filter(({ outcome }) => outcome === 'no-auditor').length
  const next =
    unseen === 0
      ? ''
      : `${paint(`${unseen} of these would not be found`, 'yellow', colour)}: the log is of one piece afterwards, and nobody elsewhere knows how it was. An auditor would.\n`
  return `On copies of ${log.size} entries of the log of ${name}:\n${renderTable(results, columns, { width, colour })}${next}`
}
