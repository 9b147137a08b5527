// What recording costs the program that is recorded: 100 MB of lines through `telec run`, from its start to its exit, by which all of it
// is on the disk, and until the service has all of it. Beside it the same through others that record a terminal.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import { type Installation, telecPath } from '../support/installation.ts'
import type { Run } from './bench.ts'
import type { Finding } from './finding.ts'
import { install } from './installed.ts'

const rounds = 5
const quickRounds = 3
const megabytes = 100
const quickMegabytes = 20

type Took = {
  /** To the end of the recorder: what was printed is on the disk, and was shown. */
  readonly endS: number
  /** Until the service has committed all of it; of others, as their end. */
  readonly deliveredS: number
  /** To the end of the program alone, which is what who waits for it notices. */
  readonly programS: number
  /** From the program's start to its end: recording, without what it takes to start. */
  readonly printingS: number
}

type Recorder = { readonly name: string; readonly words: readonly string[] }

/** What nobody reads any further, and what a terminal shows. */
const outputs = { file: 'into /dev/null', terminal: 'onto a terminal' } as const
type Output = keyof typeof outputs

export async function benchRecording({ scope, isQuick, say }: Run): Promise<readonly Finding[]> {
  if (!isThere('script')) throw new Error('there is no script(1) to hold it against: install bsdutils or util-linux')
  const own = await install(scope, 'sqlite')
  const directory = join(own.home, 'recording')
  mkdirSync(directory)
  const [input, begin, mark, record] = ['input', 'begin', 'mark', 'record'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
    string,
  ]
  const lines = makeLines((isQuick ? quickMegabytes : megabytes) * 1_000_000)
  writeFileSync(input, lines)
  const program = ['sh', '-c', ': > "$1"; cat "$0"; : > "$2"', input, begin, mark]

  async function time({ name, words }: Recorder): Promise<Took> {
    rmSync(mark, { force: true })
    rmSync(record, { force: true })
    const [file = '', ...args] = words
    const startMs = Date.now()
    const child = spawn(file, args, { env: { ...own.env, LC_ALL: 'C.UTF-8' }, cwd: directory, stdio: 'ignore' })
    const [code] = await once(child, 'exit')
    const endMs = Date.now()
    if (code !== 0) throw new Error(`${file} failed with ${code}`)
    // Whoever comes next is not to be measured beside what is left of this.
    const [newest] = (await own.client.listSessions({ limit: 1 })).sessions
    if (newest !== undefined) await own.until(newest.id, ({ status }) => status === 'ended')
    const ended = name === 'telec' ? Date.now() : endMs
    return {
      endS: (endMs - startMs) / 1000,
      deliveredS: (ended - startMs) / 1000,
      programS: (statSync(mark).mtimeMs - startMs) / 1000,
      printingS: (statSync(mark).mtimeMs - statSync(begin).mtimeMs) / 1000,
    }
  }

  const telec = [process.execPath, telecPath, 'run', '--', ...program]
  const script = ['script', '-qc', quote(program), record]
  const ours: readonly (Recorder & { readonly output: Output })[] = [
    { output: 'file', name: 'telec', words: telec },
    { output: 'file', name: 'script', words: script },
    { output: 'terminal', name: 'telec', words: onTerminal(telec) },
    { output: 'terminal', name: 'script', words: onTerminal(script) },
  ]
  for (const recorder of ours) await time(recorder)
  await requireWhole(own, lines)
  const peers: (typeof ours)[number][] = []
  for (const peer of findPeers({ program, record, directory })) {
    // Some of them want to be root, or a login.
    const failure = await time(peer).then(
      () => null,
      (error: unknown) => error,
    )
    if (failure === null) peers.push(peer)
    else say(`not beside ${peer.name}: ${failure instanceof Error ? failure.message : failure}`)
  }
  const recorders = [...ours, ...peers]
  const found = new Map(recorders.map((recorder) => [recorder, [] as Took[]]))
  const count = isQuick ? quickRounds : rounds
  for (let round = 1; round <= count; round++) {
    say(`round ${round} of ${count}`)
    for (const [recorder, took] of found) took.push(await time(recorder))
  }
  await requireWhole(own, lines)

  const of = (output: Output, name: string) =>
    [...found].find(([recorder]) => recorder.output === output && recorder.name === name)?.[1] ?? []
  const findings = recorders
    .filter(({ name }) => name !== 'telec')
    .flatMap(({ output, name }): Finding[] =>
      (
        [
          ['all on the disk', ({ endS }: Took) => endS],
          ['the program itself', ({ programS }: Took) => programS],
          ['from its first byte on', ({ printingS }: Took) => printingS],
          ['all with the service', ({ deliveredS }: Took) => deliveredS],
        ] as const
      ).map(([what, value]) => ({
        what: `recording ${lines.length / 1_000_000} MB ${outputs[output]}: ${what}`,
        unit: 's',
        rounds: of(output, 'telec').map(value),
        beside: { kind: 'peer', what: name, rounds: of(output, name).map(value) },
        budget: name === 'script' && what !== 'all with the service' ? { kind: 'at most', ratio: 1.15 } : null,
      })),
    )
  return findings
}

/** Its other end reads as fast as it can, and keeps nothing. */
function onTerminal(words: readonly string[]): readonly string[] {
  return ['script', '-qc', quote(words), '/dev/null']
}

function findPeers(place: {
  readonly program: readonly string[]
  readonly record: string
  readonly directory: string
}): readonly (Recorder & { readonly output: Output })[] {
  const tmux = (...words: readonly string[]) =>
    quote(['tmux', '-f', '/dev/null', '-S', join(place.directory, 'tmux'), ...words])
  // The program waits until it is recorded, and its window until somebody has heard of its end.
  const window = `read -r _; ${quote(place.program)}; ${tmux('wait-for', '-S', 'done')}; read -r _`
  const steps = [
    tmux('new-session', '-d', window),
    tmux('pipe-pane', `cat > ${quote([place.record])}`),
    tmux('send-keys', 'Enter'),
    tmux('wait-for', 'done'),
    tmux('kill-server'),
  ]
  const known = [
    { name: 'tlog-rec', words: ['tlog-rec', '--writer=file', `--file-path=${place.record}`, '--', ...place.program] },
    { name: 'tmux', words: ['sh', '-c', steps.join(' && ')] },
  ]
  return known.map((recorder) => ({ output: 'file', ...recorder }))
}

/** As a build has them: of different length, and never the same. */
function makeLines(bytes: number): Buffer {
  const words = [
    'compiling',
    'src/main.ts',
    'warning:',
    'unused',
    'in',
    'function',
    'ok',
    '0x7f3a',
    'linking',
    '[INFO]',
  ]
  const lines: string[] = []
  // A generator of the C standard's kind: the same lines every time.
  let state = 1
  const next = (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor(state / 256) % below
  }
  for (let length = 0, number = 1; length < bytes; number++) {
    const picked = Array.from({ length: 3 + next(9) }, () => words[next(words.length)])
    const line = `${number} ${picked.join(' ')}\n`
    lines.push(line)
    length += line.length
  }
  return Buffer.from(lines.join(''), 'ascii').subarray(0, bytes)
}

/** @throws Error where the newest session has not got every byte: then its time says nothing */
async function requireWhole(own: Installation, lines: Buffer): Promise<void> {
  let printed = lines.length
  // The terminal puts a carriage return before each newline.
  for (const byte of lines) if (byte === 10) printed += 1
  const { sessions } = await own.client.listSessions({ limit: 1 })
  const recorded = sessions[0]?.transcriptBytes ?? 0
  // Where nobody is at the terminal, script(1) types an end of file, and its echo is recorded too.
  if (recorded < printed) throw new Error(`${recorded} bytes were recorded, and ${printed} printed`)
}

function isThere(program: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$0"', program]).status === 0
}

function quote(words: readonly string[]): string {
  return words.map(shellQuote).join(' ')
}
