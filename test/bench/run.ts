// `npm run bench [-- [--quick] [--json] NAME...]`: runs the benches one after the other and says how each budget of the design
// stands. Exit 0 whatever it finds; 69 where a bench could not run.

import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { benchAuditAppend } from './audit-append.ts'
import { benchAuditedRead } from './audited-read.ts'
import { benchAuditor } from './auditor.ts'
import type { Bench } from './bench.ts'
import { watchOthers } from './cores.ts'
import { benchEcho } from './echo.ts'
import { benchFairness } from './fairness.ts'
import { type Summary, summarise } from './finding.ts'
import { benchIdentity } from './identity.ts'
import { benchList } from './list.ts'
import { benchLiveLoad } from './live-load.ts'
import { benchLsCold } from './ls-cold.ts'
import { benchMemory } from './memory.ts'
import { benchRecording } from './recording.ts'
import { formatTable } from './table.ts'
import { benchWhoami } from './whoami.ts'

const benches: ReadonlyMap<string, Bench> = new Map([
  ['identity', benchIdentity],
  ['audit', benchAuditAppend],
  ['whoami', benchWhoami],
  ['fairness', benchFairness],
  ['ls-cold', benchLsCold],
  ['list', benchList],
  ['audited-read', benchAuditedRead],
  ['auditor', benchAuditor],
  ['recording', benchRecording],
  ['echo', benchEcho],
  ['memory', benchMemory],
  ['live-load', benchLiveLoad],
])

/** Their service and their runners are nobody's children, so that their work can't be told from that of others. */
const detached = ['recording', 'echo', 'memory', 'live-load']

const usageText = `usage: npm run bench [-- [--quick] [--json] NAME...]
NAME is one of ${[...benches.keys()].join(', ')}; without any, all are run.
`
/** sysexits(3) */
const usage = 64
const unavailable = 69
/** As a shell says it of a program that SIGINT has ended. */
const interrupted = 130

/** From here on it is the machine that is measured. */
const busyShare = 0.1
const busyText =
  'The machine had other work to do: worst cases (p99) are its own, and only ratios to a peer say anything.'

type Outcome = {
  readonly bench: string
  /** How much of the machine other work took meanwhile; null where nobody can say. */
  readonly othersShare: number | null
  readonly seconds: number
  readonly findings: readonly Summary[]
  readonly failure: string | null
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

function parseCommandLine() {
  try {
    const options = { quick: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } } as const
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    const unknown = positionals.find((name) => !benches.has(name))
    if (unknown !== undefined) throw new Error(`cannot run ${unknown}: there is no bench of that name`)
    return { ...values, names: positionals.length > 0 ? positionals : [...benches.keys()] }
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n${usageText}`)
    process.exit(usage)
  }
}

async function runBench(name: string, bench: Bench, isQuick: boolean): Promise<Outcome> {
  say(`${name} ...`)
  const startMs = performance.now()
  const readOthers = watchOthers()
  const scope = new AsyncDisposableStack()
  const interrupt = () => {
    const exit = () => process.exit(interrupted)
    scope.disposeAsync().then(exit, exit)
  }
  process.once('SIGINT', interrupt)
  let findings: readonly Summary[] = []
  let failure: string | null = null
  try {
    findings = (await bench({ scope, isQuick, say: (text) => say(`  ${text}`) })).map(summarise)
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error)
    say(`cannot run the bench ${name}: ${failure}`)
  }
  await scope.disposeAsync()
  process.off('SIGINT', interrupt)
  const seconds = Math.round(performance.now() - startMs) / 1000
  return { bench: name, seconds, othersShare: detached.includes(name) ? null : readOthers(), findings, failure }
}

function describeRun({ bench, seconds, othersShare }: Outcome): string {
  const others =
    othersShare === null ? '' : `, while other work took ${(othersShare * 100).toFixed(0)} % of the machine`
  return `${bench}: ${seconds.toFixed(0)} s${others}`
}

const { quick, json, names } = parseCommandLine()
const outcomes: Outcome[] = []
for (const [name, bench] of benches) {
  if (names.includes(name)) outcomes.push(await runBench(name, bench, quick))
}
const [{ model } = { model: 'unknown' }] = cpus()
const machine = { cpu: model.trim(), cores: cpus().length, platform: process.platform, node: process.version }
if (json) {
  console.log(JSON.stringify({ machine, quick, benches: outcomes }, null, 2))
} else {
  console.log(`${machine.cpu}, ${machine.cores} cores, ${machine.platform}, Node ${machine.node}`)
  console.log(`${outcomes.map(describeRun).join('\n')}\n`)
  if (outcomes.some(({ othersShare }) => (othersShare ?? 0) > busyShare)) console.log(`${busyText}\n`)
  console.log(formatTable(outcomes.flatMap(({ findings }) => findings)))
}
if (outcomes.some(({ failure }) => failure !== null)) process.exitCode = unavailable
