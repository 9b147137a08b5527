// `telec audit state`, `alarms` and `acknowledge`: how the log is kept, and what is wrong with it.

import type { AlarmView, AuditState } from '@teleclaude/core/audit-api.ts'
import { paint } from '@teleclaude/core/style.ts'
import { type Column, renderTable } from '@teleclaude/core/table.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { exitCodes, Failure } from '../failure.ts'
import { printJson } from '../output/json.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { shortIdLength } from '../session/find.ts'

type Output = ServiceOptions & { readonly json?: true }

/** Returns 0 where nothing is wrong, else 65. */
export async function showState(options: Output): Promise<number> {
  const colour = !options.json && (await wantsColourOn(process.stdout, options))
  const state = await withService(options, (client) => client.readAuditState())
  if (options.json) printJson(state)
  else process.stdout.write(describeState(state, colour))
  return isWell(state) ? 0 : exitCodes.data
}

export async function listAlarms(options: Output): Promise<number> {
  const colour = !options.json && (await wantsColourOn(process.stdout, options))
  const { alarms } = await withService(options, (client) => client.readAuditState())
  if (options.json) printJson({ alarms })
  else process.stdout.write(alarms.length === 0 ? 'There are no alarms.\n' : formatAlarms(alarms, colour))
  return alarms.every(isAcknowledged) ? 0 : exitCodes.data
}

export async function acknowledge(id: string, options: ServiceOptions & { readonly note: string }): Promise<number> {
  const alarm = await withService(options, async (client) => {
    const { alarms } = await client.readAuditState()
    const alarm = findAlarm(alarms, id)
    await client.acknowledgeAlarm(alarm.id, options.note)
    return alarm
  })
  process.stdout.write(`Acknowledged ${alarm.id.slice(0, shortIdLength)} (${neutralise(alarm.kind)}), on the record.\n`)
  return 0
}

function findAlarm(alarms: readonly AlarmView[], id: string): AlarmView {
  const found = id === '' ? [] : alarms.filter((alarm) => alarm.id.startsWith(id.toLowerCase()))
  const [first] = found
  if (first !== undefined && found.length === 1) return first
  const why = first === undefined ? 'no id of one begins so' : 'the id of more than one begins so'
  throw new Failure(
    exitCodes.data,
    `cannot find the alarm ${neutralise(id)}: ${why}; \`telec audit alarms\` shows them`,
  )
}

function isAcknowledged({ acknowledgedAt }: AlarmView): boolean {
  return acknowledgedAt !== null
}

function isWell({ fault, alarms, auditor, sinks }: AuditState): boolean {
  const isParked = sinks.some(({ parked }) => parked > 0)
  return (
    fault === null && alarms.every(isAcknowledged) && auditor?.stale !== true && auditor?.state !== 'alarm' && !isParked
  )
}

function describeState(state: AuditState, colour: boolean): string {
  const { host, size, signed, cosigned, fault, require, auditor, sinks, alarms } = state
  const facts = [
    ['log', `${neutralise(host)}, ${size} entries`],
    ['signed', fault === null ? ofAll(signed, size) : `not any more: ${neutralise(fault)}`],
    ['cosigned', ofAll(cosigned, size)],
    ['exposure', describeExposure(state)],
    ['policy', `content is shown once its entry is ${require}`],
    ['auditor', auditor === null ? 'there is none' : describeAuditor(auditor)],
  ]
  const lines = facts.map(([name = '', value = '']) => `${paint(name.padEnd(10), 'bold', colour)} ${value}\n`).join('')
  const width = process.stdout.isTTY ? process.stdout.columns : null
  const shipped = sinks.length === 0 ? '' : `\n${renderTable(sinks, sinkColumns, { width, colour })}`
  const raised = alarms.length === 0 ? '' : `\n${formatAlarms(alarms, colour)}`
  return lines + shipped + raised
}

function ofAll(count: number, size: number): string {
  return count >= size ? 'all' : `${count}, all but the last ${size - count}`
}

export function describeExposure({ exposureSeconds }: Pick<AuditState, 'exposureSeconds'>): string {
  if (exposureSeconds === null) return 'everything: no auditor ships it anywhere'
  if (exposureSeconds === 0) return 'nothing: all of it is off the database'
  return `${Math.round(exposureSeconds)} s: since then no sink has confirmed the oldest entry that waits`
}

function describeAuditor({ state, message, at, stale, verifiedSeq }: NonNullable<AuditState['auditor']>): string {
  const says = message === null ? '' : ` (${neutralise(message)})`
  const when = stale ? `; it has not been heard of since ${at}` : ''
  return `${neutralise(state)}${says}, has checked ${verifiedSeq}${when}`
}

const sinkColumns: readonly Column<AuditState['sinks'][number]>[] = [
  { title: 'SINK', value: ({ sink }) => sink, flexible: true },
  { title: 'AT ENTRY', value: ({ seq }) => String(seq), align: 'right' },
  { title: 'COMPLETE THROUGH', value: ({ completeThrough }) => String(completeThrough), align: 'right' },
  {
    title: 'PARKED',
    value: ({ parked }) => String(parked),
    align: 'right',
    style: ({ parked }) => (parked > 0 ? 'red' : null),
  },
]

function formatAlarms(alarms: readonly AlarmView[], colour: boolean): string {
  const width = process.stdout.isTTY ? process.stdout.columns : null
  return renderTable(alarms, alarmColumns, { width, colour })
}

const alarmColumns: readonly Column<AlarmView>[] = [
  { title: 'ALARM', value: ({ id }) => id.slice(0, shortIdLength) },
  { title: 'RAISED', value: ({ at }) => at.slice(0, 19).replace('T', ' ') },
  {
    title: 'KIND',
    value: ({ kind }) => kind,
    style: ({ acknowledgedAt }) => (acknowledgedAt === null ? 'red' : 'dim'),
  },
  { title: 'ENTRIES', value: ({ fromSeq, toSeq }) => (fromSeq === null ? '' : `${fromSeq}-${toSeq ?? ''}`) },
  { title: 'SEEN BY', value: ({ acknowledgedBy }) => acknowledgedBy ?? 'nobody' },
  { title: 'WHAT', value: ({ message }) => message, flexible: true },
]
