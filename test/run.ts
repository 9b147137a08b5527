// Runs the tests: `run.ts [--check] [--fast] [FILE...]`. One line per file, failures in full, and as the very last line
// `N passed, N failed, N skipped`. A test that is skipped, a file without tests, a process left behind: each is a failure
// of the run, for each is something that nobody has shown to work.

import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { run } from 'node:test'
import { inspect, parseArgs, styleText } from 'node:util'
import { buildAppliance } from './support/appliance-images.ts'
import { prepareBaseImages } from './support/base-images.ts'
import { prepareEngine } from './support/docker-engine.ts'
import { endLeftovers } from './support/leftovers.ts'
import { startPostgres } from './support/postgres-server.ts'

const maxTestMs = 2 * 60_000
const maxFileMs = 10 * 60_000
// Those that build images and start containers.
const maxContainerTestMs = 5 * 60_000
const maxContainerFileMs = 15 * 60_000

type Tally = { passed: number; failed: number; skipped: number }

const root = join(import.meta.dirname, '..')
const usesContainers = (file: string) => /^test\/(integration|system)\//.test(relative(root, file))

function parseCommandLine() {
  try {
    const options = { check: { type: 'boolean', default: false }, fast: { type: 'boolean', default: false } } as const
    return parseArgs({ options, allowPositionals: true })
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\nusage: scripts/test [--fast] [FILE...]`)
    process.exit(64) // EX_USAGE (sysexits.h)
  }
}

function findTestFiles(fast: boolean): string[] {
  const containers = fast ? ['test/{integration,system}/**'] : []
  return globSync('{packages,services,scripts,test}/**/*.test.ts', {
    cwd: root,
    exclude: ['**/node_modules/**', ...containers],
  })
    .sort()
    .map((file) => join(root, file))
}

/** Runs one file in a process of its own and prints what became of it. Counts leaves: no suites, no tests of subtests. */
async function runFile(file: string): Promise<Tally> {
  const tally: Tally = { passed: 0, failed: 0, skipped: 0 }
  const names: string[] = []
  const reportedAt: number[] = []
  const findings: string[] = []
  const output: string[] = []
  const startedMs = performance.now()
  const find = (what: 'failed' | 'skipped', detail: string) => {
    tally[what] += 1
    const name = names.map((part) => (part === file ? relative(root, file) : part)).join(' > ')
    findings.push(`${styleText(what === 'failed' ? 'red' : 'yellow', `  ${what}: ${name}`)}\n${indent(detail)}`)
  }

  const containers = usesContainers(file)
  for await (const event of run({
    files: [file],
    isolation: 'process',
    timeout: containers ? maxContainerTestMs : maxTestMs,
    signal: AbortSignal.timeout(containers ? maxContainerFileMs : maxFileMs),
  })) {
    if (event.type === 'test:stdout' || event.type === 'test:stderr') output.push(event.data.message)
    if (event.type === 'test:start') names.splice(event.data.nesting, Infinity, event.data.name)
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue

    const { name, nesting, skip, todo } = event.data
    names.splice(nesting, Infinity, name)
    // Children are reported before their parent.
    const isLeaf = event.data.details.type !== 'suite' && !reportedAt[nesting + 1]
    reportedAt[nesting + 1] = 0
    reportedAt[nesting] = (reportedAt[nesting] ?? 0) + 1

    if (event.type === 'test:fail') {
      const { error } = event.data.details
      if (!('failureType' in error && error.failureType === 'subtestsFailed')) find('failed', describeFailure(error))
    } else if (skip !== undefined || todo !== undefined) find('skipped', String(skip ?? todo))
    else if (name === file) find('failed', 'the file has no tests')
    else if (isLeaf) tally.passed += 1
  }

  const ok = findings.length === 0
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1).padStart(6)
  const counted = String(tally.passed + tally.failed + tally.skipped).padStart(4)
  const verdict = ok ? styleText('green', 'ok    ') : styleText('red', 'FAILED')
  console.log(`${verdict} ${seconds} s ${counted}  ${relative(root, file)}`)
  if (!ok) console.log(findings.join('\n') + (output.length > 0 ? `\n  output:\n${indent(output.join(''))}` : ''))
  return tally
}

function describeFailure(error: Error): string {
  const cause = error.cause ?? error
  return typeof cause === 'string' ? cause : inspect(cause, { colors: process.stdout.isTTY })
}

function indent(text: string): string {
  return text.trimEnd().replaceAll(/^/gm, '    ')
}

async function runFiles(files: readonly string[]): Promise<Tally[]> {
  const postgres = await startPostgres()
  process.env.TELECLAUDE_TEST_POSTGRES_URL = postgres.url('postgres')
  try {
    const queue = files.filter((file) => !usesContainers(file)).values()
    const workers = Array.from({ length: Math.min(8, Math.max(2, availableParallelism())) }, () => runQueue(queue))
    return (await Promise.all([...workers, runContainerFiles(files.filter(usesContainers))])).flat()
  } finally {
    await postgres.stop()
  }
}

async function runQueue(queue: Iterable<string>): Promise<Tally[]> {
  const tallies: Tally[] = []
  for (const file of queue) tallies.push(await runFile(file))
  return tallies
}

/** One after the other, because they share one engine and its machine; beside all others, because they often wait for it. */
async function runContainerFiles(files: readonly string[]): Promise<Tally[]> {
  if (files.length === 0) return []
  try {
    await using engine = await prepareEngine(console.log)
    await prepareBaseImages(console.log)
    await buildAppliance(console.log)
    const tallies = await runQueue(files)
    const log = tallies.some(({ failed }) => failed > 0) ? engine.readLog() : ''
    if (log !== '') console.log(`  the Docker engine's last words:\n${indent(log)}`)
    return tallies
  } catch (error) {
    console.log(styleText('red', 'FAILED container tests:'), error)
    return [{ passed: 0, failed: files.length, skipped: 0 }]
  }
}

async function runEverything(check: boolean, files: readonly string[]): Promise<Tally> {
  const total: Tally = { passed: 0, failed: 0, skipped: 0 }
  if (check && spawnSync(process.execPath, [join(root, 'scripts/check.ts')], { stdio: 'inherit' }).status !== 0) {
    total.failed += 1
  }
  try {
    for (const tally of await runFiles(files)) {
      total.passed += tally.passed
      total.failed += tally.failed
      total.skipped += tally.skipped
    }
  } catch (error) {
    total.failed += 1
    console.log(styleText('red', 'cannot run the tests:'), error)
  }
  const leftovers = await endLeftovers()
  total.failed += leftovers.length
  for (const { pid, command } of leftovers) console.log(styleText('red', `FAILED left running: ${pid} ${command}`))
  if (total.passed + total.failed + total.skipped === 0) {
    total.failed += 1
    console.log(styleText('red', 'FAILED no tests were run'))
  }
  return total
}

const { values, positionals } = parseCommandLine()
const files = positionals.length > 0 ? positionals.map((file) => resolve(file)) : findTestFiles(values.fast)
const { passed, failed, skipped } = await runEverything(values.check, files)
process.exitCode = failed > 0 || skipped > 0 || passed === 0 ? 1 : 0
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`)
