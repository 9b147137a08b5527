// `telec audit verify`: the whole log, checked here. The service only sends it; what it says of itself is not believed.

import type { Client } from '@teleclaude/client/client.ts'
import { type AuditState, type RecordingCheck, recordingCheckSchema } from '@teleclaude/core/audit-api.ts'
import type { AuditFault } from '@teleclaude/core/audit-fault.ts'
import { type AuditReport, verifyAuditExport } from '@teleclaude/core/audit-verify.ts'
import { paint, type Style } from '@teleclaude/core/style.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { explainCut, readExport } from '../audit/export-stream.ts'
import { readKeysFile, readText } from '../audit/keys-file.ts'
import { exitCodes } from '../failure.ts'
import { printJson } from '../output/json.ts'
import { readLines } from '../output/lines.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { shortIdLength } from '../session/find.ts'
import { describeExposure } from './audit-state.ts'

type VerifyOptions = ServiceOptions & {
  readonly keys?: string
  readonly since?: string
  readonly recordings?: true
  readonly json?: true
}

/** What was recorded, against the log: how many sessions there are of each state, and those that something is wrong with. */
type Recordings = {
  readonly counts: Readonly<Partial<Record<RecordingCheck['state'], number>>>
  readonly wrong: readonly RecordingCheck[]
}

const wrongStates: readonly RecordingCheck['state'][] = ['changed', 'shortened', 'missing']
const maxCheckLength = 16 * 1024

/** Returns 0 where the log is whole, covered and not under alarm, and what was recorded is what the log says; else 65. */
export async function verifyLog(options: VerifyOptions): Promise<number> {
  const colour = !options.json && (await wantsColourOn(process.stdout, options))
  const keys = options.keys === undefined ? [] : readKeysFile(options.keys).keys
  const since = options.since === undefined ? null : readText(options.since)
  const { report, state, recordings } = await withService(options, async (client) => ({
    report: await verifyAuditExport(readExport(client), { keys, since }),
    state: await client.readAuditState(),
    recordings: options.recordings ? await checkRecordings(client) : null,
  }))
  const alarms = state.alarms.filter(({ acknowledgedAt }) => acknowledgedAt === null)
  const holds = report.intact && report.complete && alarms.length === 0 && (recordings?.wrong.length ?? 0) === 0
  if (options.json) printJson({ holds, ...report, exposureSeconds: state.exposureSeconds, alarms, recordings })
  else process.stdout.write(describe({ report, state, recordings, alarms: alarms.length }, colour))
  return holds ? 0 : exitCodes.data
}

async function checkRecordings(client: Client): Promise<Recordings> {
  const counts: Partial<Record<RecordingCheck['state'], number>> = {}
  const wrong: RecordingCheck[] = []
  try {
    const stream = await client.readRecordings()
    for await (const line of readLines(stream, maxCheckLength)) {
      const check = recordingCheckSchema.parse(JSON.parse(line))
      counts[check.state] = (counts[check.state] ?? 0) + 1
      if (wrongStates.includes(check.state) || check.fault !== null) wrong.push(check)
    }
  } catch (error) {
    throw explainCut(error, 'check what was recorded')
  }
  return { counts, wrong }
}

type Found = {
  readonly report: AuditReport
  readonly state: AuditState
  readonly recordings: Recordings | null
  readonly alarms: number
}

function describe({ report, state, recordings, alarms }: Found, colour: boolean): string {
  const verdict = (holds: boolean) => paint(holds ? 'yes' : 'NO', holds ? 'green' : 'red', colour)
  const line = (name: string, text: string) => `${paint(name.padEnd(10), 'bold', colour)} ${text}\n`
  const faults = report.faults.map((fault) => `${describeFault(fault, colour)}\n`).join('')
  const more = report.faultsLeftOut === 0 ? '' : `  and ${report.faultsLeftOut} more\n`
  return [
    line('log', `${neutralise(report.host ?? 'of an unknown host')}, ${report.size} entries, root ${report.root}`),
    line(
      'intact',
      `${verdict(report.intact)}: ${report.intact ? 'each entry and the tree over them are as signed' : 'something is not what was signed'}`,
    ),
    line('complete', `${verdict(report.complete)}: ${describeComplete(report)}`),
    line('cosigned', describeCosigned(report)),
    line('exposure', describeExposure(state)),
    line('keys', describeTrust(report)),
    alarms === 0
      ? ''
      : line('alarms', `${paint(String(alarms), 'red', colour)} that nobody has looked at: telec audit alarms`),
    recordings === null ? '' : describeRecordings(recordings, line, colour),
    faults === '' ? '' : `\n${faults}${more}`,
  ].join('')
}

function describeComplete({ complete, signed, since }: AuditReport): string {
  if (!complete) return 'entries are missing, or under no checkpoint'
  const earlier = since === null ? '' : `, and all ${since} of the earlier checkpoint are there`
  return `a checkpoint covers all ${signed}${earlier}`
}

function describeCosigned({ cosigned, size }: AuditReport): string {
  if (cosigned === null)
    return 'nothing: no auditor has cosigned, so who has the database and the key of the log can write it anew'
  const when = new Date(cosigned.timeS * 1000).toISOString()
  const what = cosigned.size >= size ? 'all' : `${cosigned.size}, all but the last ${size - cosigned.size}`
  return `${what}, at ${when}`
}

function describeTrust({ trust }: AuditReport): string {
  if (trust.log === 'given') {
    return trust.auditor === 'export'
      ? 'those of the log are given; that of the auditor is what the service says'
      : 'given'
  }
  return 'what the service says they are: keep them elsewhere (telec audit keys) and give them with --keys'
}

function describeFault({ kind, from, to, says }: AuditFault, colour: boolean): string {
  const range = to === null ? `from entry ${from} on` : from === to ? `entry ${from}` : `entries ${from} to ${to}`
  return `  ${paint(kind, 'red', colour)}, ${range}: ${neutralise(says)}`
}

function describeRecordings(
  { counts, wrong }: Recordings,
  line: (name: string, text: string) => string,
  colour: boolean,
): string {
  const styles: Readonly<Partial<Record<RecordingCheck['state'], Style>>> = {
    changed: 'red',
    shortened: 'red',
    missing: 'red',
  }
  const listed = Object.entries(counts).map(([state, count]) => `${count} ${state}`)
  const faults = wrong.map(({ session, state, fault }) => {
    const shown = paint(state, styles[state] ?? 'yellow', colour)
    return `  ${shown}, session ${session.slice(0, shortIdLength)}: ${neutralise(fault ?? 'it is not what the log says')}\n`
  })
  return line('recordings', listed.join(', ') || 'none') + faults.join('')
}
