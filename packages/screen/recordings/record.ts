// Records real programs for the tests: `node packages/screen/recordings/record.ts [NAME...]`, on Linux, as root (a process list
// shows who looks at it nothing but itself). Files are asciicast v3 without times. Nothing of this machine gets in: no environment,
// a home that goes away, made-up contents, a host name of its own.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn } from '@lydell/node-pty'

type Step = { readonly until: RegExp; readonly type?: string; readonly resize?: readonly [cols: number, rows: number] }
type Scene = {
  readonly command: readonly string[]
  readonly cols: number
  readonly rows: number
  readonly steps: readonly Step[]
}

const source = Array.from(
  { length: 60 },
  (_, index) =>
    `/* ${index}: counts the sheep, 羊を数える */\nstatic int count_${index}(const char *name)\n{\n\tif (name == NULL) return ${index}; // "none"\n\treturn printf("%s\\n", name);\n}\n`,
).join('\n')
const tale = Array.from(
  { length: 200 },
  (_, index) =>
    `${index} The \x1b[1;3${index % 8}mquick brown fox\x1b[0m jumps over the lazy dog, ${'again and '.repeat(index % 12)}again.`,
).join('\n')
const processRules = `fields=0 48 2 46 1
tree_view=1
color_scheme=0
delay=3
header_layout=two_50_50
column_meters_0=AllCPUs
column_meter_modes_0=1
column_meters_1=Tasks
column_meter_modes_1=2
`

const scenes: Record<string, Scene> = {
  vim: {
    command: [
      'vim',
      '-u',
      'NONE',
      '-N',
      '-i',
      'NONE',
      '-n',
      '--cmd',
      'set ruler showcmd t_Co=256 title mouse=a | syntax on',
      'sheep.c',
    ],
    cols: 80,
    rows: 24,
    steps: [
      { until: /sheep\.c/, type: ':vsplit | split\r' },
      { until: /vsplit/, type: ':set number cursorline | set hlsearch\r' },
      { until: /hlsearch/, type: '/count_4\r' },
      { until: /count_4/, type: 'onew 漢字 text 👩 \x1b' },
      { until: /text/, type: '\x04\x04\x15' },
      { until: /%/, type: '\x17w5dd' },
      { until: /fewer/, type: ':set nowrap | colorscheme desert\r' },
      { until: /desert/, type: 'VGd' },
      { until: /fewer|lines/, type: 'u' },
      { until: /more lines|change/, type: ':echo "the end"\r' },
      { until: /the end/, resize: [70, 20] },
      { until: /\[\d+;\d+H/, type: ':qa!\r' },
    ],
  },
  less: {
    command: ['less', '-R', 'tale.txt'],
    cols: 60,
    rows: 16,
    steps: [
      { until: /tale\.txt/, type: '/lazy\r' },
      { until: /lazy/, type: 'nn' },
      { until: /lazy/, type: 'G' },
      { until: /END/, type: 'bb' },
      { until: /:/, type: 'g' },
      { until: /0 The/, type: '-S\r' },
      { until: /Chop/, type: '\r' },
      { until: /:/, type: 'q' },
    ],
  },
  htop: {
    command: ['unshare', '--pid', '--fork', '--mount-proc', '--uts', 'sh', '-c', 'hostname host; sleep 30 & exec htop'],
    cols: 100,
    rows: 20,
    steps: [
      { until: /sleep/, type: 't' },
      { until: /CPU|PID/, type: '\x1b[B' },
      { until: /./, type: 'h' },
      { until: /priority/, type: ' ' },
      { until: /PID/, type: '/sle' },
      { until: /Search/, type: '\x1b' },
      { until: /F1|Help/, type: 'q' },
    ],
  },
  shell: {
    command: ['bash', '--norc', '--noprofile'],
    cols: 50,
    rows: 12,
    steps: [
      { until: /\$ /, type: "PS1='\\[\\e[1;32m\\]me@host\\[\\e[0m\\]:\\[\\e[34m\\]\\W\\[\\e[0m\\]\\$ '\r" },
      { until: /me@host/, type: 'ls --color=always\r' },
      { until: /tale/, type: `printf '\\e[48;5;24m漢字\\e[0m かな 👩‍💻 🇩🇪 e\\u0301 \\e[4:3m%s\\e[0m\\n' wavy\r` },
      { until: /wavy/, type: `echo a long line that wraps ${'0123456789 '.repeat(9)}漢字漢字\r` },
      { until: /0123456789/, type: 'for i in $(seq 30); do printf "\\e[3$((i%8))mline %d\\e[K\\e[0m\\n" $i; done\r' },
      { until: /line 30/, type: `echo ${'x'.repeat(70)}\x01printf \x05\x17again` },
      {
        until: /again/,
        type: '\x15printf "\\e[4;9r\\e[9;1H"; for i in 1 2 3 4; do echo region $i; done; printf "\\e[r"; clear\r',
      },
      {
        until: /\[[23]?J/,
        type: "printf '\\e(0lqqk\\e(B \\e[?25l\\e[5 q\\e[38;2;200;100;50mtrue\\e[m\\e[?25h\\n'\r",
      },
      { until: /true/, type: 'exit\r' },
    ],
  },
  ink: {
    command: [process.execPath, join(import.meta.dirname, 'ink-program.ts')],
    cols: 80,
    rows: 18,
    steps: [
      { until: /shortcuts/, type: 'hello' },
      { until: /hello/, type: '\r' },
      { until: /file-0/, type: '\x1b[200~pasted text,\nof two lines 漢字\x1b[201~' },
      { until: /two lines/, type: '\r' },
      { until: /file-1/, type: `${'a long question '.repeat(8)}` },
      { until: /question/, type: '\x7f\x7f\x7f' },
      { until: /quest/, type: '\r' },
      { until: /file-2/, type: 'four' },
      { until: /four/, type: '\r' },
      { until: /file-3/, type: 'five' },
      { until: /five/, type: '\r' },
      { until: /file-4/, resize: [60, 18] },
      { until: /shortcuts/, type: 'six' },
      { until: /six/, type: '\r' },
      { until: /file-5/, type: 'bye' },
      { until: /bye/, type: '\r' },
    ],
  },
}

function record(name: string, { command, cols, rows, steps }: Scene): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), 'recording-'))
  writeFileSync(join(home, 'sheep.c'), source)
  writeFileSync(join(home, 'tale.txt'), tale)
  writeFileSync(join(home, 'htoprc'), processRules)
  const [program = '', ...args] = command
  const env = {
    TERM: 'xterm-256color',
    LANG: 'C.UTF-8',
    HOME: home,
    PATH: '/usr/bin:/bin',
    PS1: '$ ',
    HTOPRC: join(home, 'htoprc'),
    COLORTERM: 'truecolor',
  }
  const pty = spawn(program, args, { name: env.TERM, cols, rows, cwd: home, env, encoding: null })
  const decoder = new TextDecoder()
  const events: [number, 'o' | 'r', string][] = []
  const left = [...steps]
  let seen = ''
  const act = () => {
    const step = left.shift()
    seen = ''
    if (step?.resize !== undefined) {
      const [newCols, newRows] = step.resize
      events.push([0, 'r', `${newCols}x${newRows}`])
      pty.resize(newCols, newRows)
    }
    if (step?.type !== undefined) pty.write(step.type)
  }
  // A program has drawn what it has to draw when nothing more comes for a while.
  let quiet: NodeJS.Timeout | undefined
  const stuck = setTimeout(() => {
    process.stderr.write(
      `${name}: nothing came that matches ${left[0]?.until}; so far: ${JSON.stringify(seen.slice(-300))}\n`,
    )
    pty.kill('SIGKILL')
  }, 30_000)
  pty.onData((data: string | Buffer) => {
    const text = typeof data === 'string' ? data : decoder.decode(data, { stream: true })
    events.push([0, 'o', text])
    seen += text
    clearTimeout(quiet)
    if (left[0]?.until.test(seen)) quiet = setTimeout(act, name === 'ink' ? 30 : 250)
  })
  return new Promise((resolve) => {
    pty.onExit(() => {
      clearTimeout(quiet)
      clearTimeout(stuck)
      rmSync(home, { recursive: true })
      const lines = [{ version: 3, term: { cols, rows, type: env.TERM } }, ...events].map((line) =>
        JSON.stringify(line),
      )
      writeFileSync(join(import.meta.dirname, `${name}.cast`), `${lines.join('\n')}\n`)
      process.stdout.write(`${name}: ${events.length} events, ${left.length} steps left\n`)
      resolve()
    })
  })
}

const names = process.argv.slice(2)
for (const [name, scene] of Object.entries(scenes))
  if (names.length === 0 || names.includes(name)) await record(name, scene)
