// What `telec config split` has to say: where everything went, and what is left to do. No value of an original is in it but the
// names and roles of people.

import { basename, join } from 'node:path'
import { type Column, renderTable, type TableOptions } from '@teleclaude/core/table.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { isMap, isSeq, stringify } from 'yaml'
import { z } from 'zod'
import { systemLayout } from '../layout.ts'
import { personSchema } from '../schema/system.ts'
import { shellQuote } from '../shell-quote.ts'
import { findDestination } from './account.ts'
import { type Kind, type Layer, layers, type SourceName, sourceNames } from './classify.ts'
import type { Files } from './layers.ts'
import { findEntry, showPath, toPlain, type Value } from './nodes.ts'
import { type Fate, fateKey, type Place, type Settled } from './settle.ts'
import type { NewFile } from './write.ts'

/** Of the places of one variable. */
const mostShown = 5

export type PlannedFile = NewFile & { readonly layer: Layer }

/** A value, or all those below a key that moved with it unchanged. */
export type ReportedMove = {
  readonly source: string
  readonly key: string
  readonly values: number
  readonly file: string
  readonly to: string
  readonly how: 'kept' | 'filled in' | 'translated' | 'secret'
  /** Where `{ secret: NAME }` stands in the place of a secret. */
  readonly reference: { readonly file: string; readonly key: string } | null
  /** Why it is not a key of ours. */
  readonly note: string | null
}

export type SplitReport = {
  readonly kind: Kind
  readonly dryRun: boolean
  readonly directory: string
  readonly sources: readonly string[]
  readonly files: readonly {
    readonly path: string
    /** In octal digits. */
    readonly mode: string
    readonly state: 'written' | 'unchanged' | 'planned'
    readonly keys: readonly string[]
  }[]
  readonly moves: readonly ReportedMove[]
  /** Variables that are referred to and not set, with where their values are to be written. */
  readonly unset: readonly { readonly variable: string; readonly at: readonly string[] }[]
  /** Names of secrets that are referred to, and whose values are in none of the originals. */
  readonly missingSecrets: readonly string[]
  /** Keys at which a line of a comment was left out because it looks like a secret. */
  readonly droppedComments: readonly string[]
  /** For each of the original's people, the lines to complete in config.yml. */
  readonly people: readonly (readonly string[])[]
}

export type Outcome = {
  readonly directory: string
  readonly planned: readonly PlannedFile[]
  readonly missing: readonly NewFile[]
  readonly dryRun: boolean
}

export function reportSplit(
  settled: Settled,
  files: Files,
  { directory, planned, missing, dryRun }: Outcome,
): SplitReport {
  const label = (source: SourceName) => basename(settled.sources[source]?.file ?? source)
  const show = ({ source, path }: Place) => `${label(source)} ${showPath(path)}`.trimEnd()
  const done = dryRun ? 'planned' : 'written'
  return {
    kind: settled.kind,
    dryRun,
    directory,
    sources: [settled.sources.config, settled.sources.environment, settled.sources.people].flatMap((source) =>
      source === null ? [] : [source.file],
    ),
    files: planned.map((file) => ({
      path: file.path,
      mode: `0${file.mode.toString(8)}`,
      state: missing.includes(file) ? done : 'unchanged',
      keys: files.roots[file.layer].items.flatMap(({ key, value }) =>
        file.layer === 'secrets' && key.value === 'legacy' && isMap(value)
          ? value.items.map((inner) => `legacy.${inner.key.value}`)
          : [key.value],
      ),
    })),
    moves: reportMoves(settled, files, label),
    unset: [...settled.unset].map(([variable, places]) => ({
      variable,
      at: [...new Set(places.map((place) => showEnd(settled, files, place)))],
    })),
    missingSecrets: [...settled.references].filter((name) => !settled.secrets.has(name)),
    droppedComments: [...new Set(settled.droppedComments.map(show))],
    people: [settled.roots.people, settled.roots.config].flatMap((root) => {
      const people = findEntry(root, 'people')?.value
      return isSeq(people) ? people.items.map(describePerson) : []
    }),
  }
}

function reportMoves(settled: Settled, files: Files, label: (source: SourceName) => string): readonly ReportedMove[] {
  const rows = new Map<string, ReportedMove>()
  for (const [place, fate] of settled.fates) {
    const [source, ...path] = placeSchema.parse(JSON.parse(place))
    const destination = findDestination(files, { source, path })
    if (destination === null) continue
    const { layer, path: to, move } = destination
    const how = move.translate !== undefined ? 'translated' : howWords[fate.how]
    const isAlone = how !== 'kept'
    const key = isAlone ? place : fateKey(source, move.path)
    const secretPath = fate.how === 'secret' ? (files.secretPaths.get(fate.name) ?? []) : null
    rows.set(key, {
      source: label(source),
      key: showPath(isAlone ? path : move.path),
      values: (rows.get(key)?.values ?? 0) + 1,
      file: secretPath === null ? `${layer}.yml` : 'secrets.yml',
      to: showPath(secretPath ?? (isAlone ? to : move.to)),
      how,
      reference: secretPath === null || layer === 'secrets' ? null : { file: `${layer}.yml`, key: showPath(to) },
      note: move.note,
    })
  }
  return [...rows.values()]
}

const placeSchema = z.tuple([z.enum(sourceNames)], z.union([z.string(), z.number()]))
const howWords: Readonly<Record<Fate['how'], ReportedMove['how']>> = {
  kept: 'kept',
  filled: 'filled in',
  secret: 'secret',
}

/** Where a value is now. */
function showEnd({ fates }: Settled, files: Files, place: Place): string {
  const fate = fates.get(fateKey(place.source, place.path))
  if (fate?.how === 'secret') return `secrets.yml ${showPath(files.secretPaths.get(fate.name) ?? [])}`
  const destination = findDestination(files, place)
  return destination === null ? '' : `${destination.layer}.yml ${showPath(destination.path)}`
}

const looseText = z.string().catch('')
const looseEntry = z.looseObject({ name: looseText, role: looseText.default('member') }).catch({ name: '', role: '' })

/** Whose account is whose is nowhere in the original. */
function describePerson(entry: Value): readonly string[] {
  const { name, role } = looseEntry.parse(toPlain(entry))
  const issues = personSchema.safeParse({ name, role, os_username: 'x' }).error?.issues ?? []
  const isFit = (key: string) => !issues.some(({ path }) => path[0] === key)
  return [
    `  - name: ${isFit('name') ? stringify(name).trimEnd() : '# the name of one person, such as alice'}`,
    `    role: ${isFit('role') ? role : '# newcomer, contributor, member or admin'}`,
    '    os_username: # what `id -un` says for them',
  ]
}

/** For a terminal; the last line ends. */
export function formatReport(report: SplitReport, options: TableOptions): string {
  const { kind, dryRun, sources, files, moves } = report
  const from = `From ${sources.join(', ')} (${kind === 'original' ? 'of the original TeleClaude' : 'our own, of single-user mode'}):`
  const isDone = files.every(({ state }) => state === 'unchanged')
  const said = dryRun
    ? 'Nothing was written: that was a dry run.'
    : isDone
      ? 'Everything is there already: nothing was changed.'
      : null
  return [
    `${neutralise(from)}\n\n`,
    renderTable(moves, moveColumns, options),
    '\n',
    renderTable(files, fileColumns, options),
    ...(said === null ? [] : [`\n${said}\n`]),
    ...remarks(report).map((lines) => `\n${lines.map((line) => `${neutralise(line)}\n`).join('')}`),
  ].join('')
}

const moveColumns: readonly Column<ReportedMove>[] = [
  { title: 'FROM', value: (move) => move.source },
  { title: 'KEY', value: (move) => (move.values === 1 ? move.key : `${move.key} (${move.values} values)`) },
  { title: 'TO', value: (move) => move.file },
  { title: 'KEY', value: (move) => move.to },
  { title: 'HOW', value: describeHow, flexible: true },
]

function describeHow({ how, reference, note }: ReportedMove): string {
  const referred = reference === null ? '' : `, referred to at ${reference.key} of ${reference.file}`
  return `${how}${referred}${note === null ? '' : `: ${note}`}`
}

const fileColumns: readonly Column<SplitReport['files'][number]>[] = [
  { title: 'FILE', value: (file) => file.path },
  { title: 'MODE', value: (file) => file.mode },
  { title: 'STATE', value: (file) => file.state },
  { title: 'KEYS', value: (file) => file.keys.join(', ') || 'none', flexible: true },
]

/** Paragraphs of lines: what has to be looked at, and what to do next. */
function remarks(report: SplitReport): readonly (readonly string[])[] {
  const { dryRun, unset, missingSecrets, droppedComments, people, files } = report
  const hasDatabase = files.some(({ keys }) => keys.includes('database'))
  return [
    ...paragraph(
      'Variables without a value. Write it at:',
      unset.map(({ variable, at }) => `${variable}: ${shorten(at)}`),
    ),
    ...paragraph('Secrets whose values are still to be put into secrets.yml:', missingSecrets),
    ...paragraph('Comments with what looks like a secret, left out:', droppedComments),
    ...paragraph(
      'Nobody can tell which accounts are whose. Complete these lines and put them into config.yml:',
      people.length === 0 ? [] : ['people:', ...people.flat()],
    ),
    ...(hasDatabase
      ? []
      : [['config.yml names no database: set database.url in it, or DATABASE_URL for each service.']]),
    ...(dryRun ? [] : paragraph('Next:', nextSteps(report))),
  ]
}

function paragraph(title: string, lines: readonly string[]): readonly (readonly string[])[] {
  return lines.length === 0 ? [] : [[title, ...lines.map((line) => `  ${line}`)]]
}

function shorten(places: readonly string[]): string {
  const more = places.length > mostShown ? ` and ${places.length - mostShown} more` : ''
  return `${places.slice(0, mostShown).join(', ')}${more}`
}

function nextSteps({ directory }: SplitReport): readonly string[] {
  const { configFile, secretsFile } = systemLayout(process.platform)
  const serviceUser = process.platform === 'darwin' ? '_teleclaude' : 'teleclaude'
  const own = (layer: Layer) => shellQuote(join(directory, `${layer}.yml`))
  return [
    `telec config check ${layers.map(own).join(' ')}`,
    `sudo install -m 644 ${own('config')} ${configFile}`,
    `sudo install -o ${serviceUser} -m 600 ${own('secrets')} ${secretsFile}`,
    `cp -i ${own('personal')} ~/.teleclaude/config.yml    # as the person whose install it was`,
  ]
}
