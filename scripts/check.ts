// `npm run check`: everything that can be said of the code without running it. Steps run side by side; each prints its time,
// and all that it has to say where it fails.

import { spawn } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { findLockProblems } from './locks.ts'

type Outcome = { readonly ok: boolean; readonly output: string }
type Step = { readonly name: string; readonly run: () => Promise<Outcome> }

const root = join(import.meta.dirname, '..')
process.chdir(root)
const path = [join(root, 'node_modules/.bin'), dirname(process.execPath), process.env.PATH].join(delimiter)

async function command(program: string, ...args: string[]): Promise<Outcome> {
  const child = spawn(program, args, { env: { ...process.env, PATH: path }, stdio: ['ignore', 'pipe', 'pipe'] })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk) => chunks.push(chunk))
  child.stderr.on('data', (chunk) => chunks.push(chunk))
  return new Promise((resolve) => {
    child.on('error', (error) =>
      resolve({ ok: false, output: `cannot run ${program}: ${error.message}. Run scripts/test.` }),
    )
    child.on('close', (code) => resolve({ ok: code === 0, output: Buffer.concat(chunks).toString() }))
  })
}

async function findShellScripts(): Promise<string[]> {
  const { ok, output } = await command('git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard')
  if (!ok) throw new Error(`cannot list the files of the project: ${output}`)
  const isShell = (file: string) =>
    file.endsWith('.sh') || /^#!\/bin\/sh\b/.test(readFileSync(file, 'utf8').slice(0, 64))
  const isFile = (file: string) => statSync(file, { throwIfNoEntry: false })?.isFile() === true
  return output.split('\0').filter((file) => file !== '' && isFile(file) && isShell(file))
}

const steps: readonly Step[] = [
  { name: 'types', run: () => command('tsc', '--noEmit') },
  {
    name: 'lint, format, import boundaries',
    run: () => command('biome', 'check', '--error-on-warnings', '--max-diagnostics=200'),
  },
  { name: 'unused code and dependencies', run: () => command('knip', '--no-progress', '--no-config-hints') },
  {
    name: 'unused in production',
    run: () => command('knip', '--no-progress', '--no-config-hints', '--production'),
  },
  {
    name: 'shell scripts',
    run: async () => command('shellcheck', '--shell=sh', '--external-sources', ...(await findShellScripts())),
  },
  {
    name: 'generated files',
    run: () => command(process.execPath, 'scripts/config-docs.ts', '--check'),
  },
  {
    name: 'lockfiles',
    run: async () => {
      const problems = ['.', 'scripts/runtime'].flatMap(findLockProblems)
      return { ok: problems.length === 0, output: problems.join('\n') }
    },
  },
]

async function runSteps(queue: Step[], failed: string[]): Promise<void> {
  for (let step = queue.shift(); step !== undefined; step = queue.shift()) {
    const startedMs = performance.now()
    const { ok, output } = await step.run()
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
    console.log(`${ok ? 'ok    ' : 'FAILED'} ${seconds.padStart(5)} s  ${step.name}`)
    if (!ok) {
      console.log(`\n${output.trimEnd()}\n`)
      failed.push(step.name)
    }
  }
}

const queue = [...steps]
const failed: string[] = []
await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, () => runSteps(queue, failed)))
if (failed.length > 0) {
  console.log(`${failed.length} of ${steps.length} checks failed: ${failed.join('; ')}`)
  process.exitCode = 1
}
