// On real terminals: what a command types is what a program reads.

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { CommandRequest } from '@teleclaude/core/command.ts'
import { Commands } from './commands.ts'
import { type Pty, spawnPty } from './pty.ts'
import { TerminalInput } from './terminal-input.ts'

async function make(
  t: TestContext,
  script: string,
  options: { readonly bracketedPaste?: boolean; readonly writePatienceMs?: number } = {},
) {
  let output = ''
  let changed = Promise.withResolvers<void>()
  const finished: string[] = []
  const note = () => {
    changed.resolve()
    changed = Promise.withResolvers<void>()
  }
  let pty: Pty | null = spawnPty(
    { file: '/bin/sh', args: ['-c', script], env: { PATH: '/usr/bin:/bin' }, cwd: '/', size: { cols: 80, rows: 24 } },
    {
      output: (bytes) => {
        output += bytes.toString('latin1')
        note()
      },
      exited: () => {
        pty = null
        output += '<end>'
        note()
      },
    },
  )
  const input = new TerminalInput((bytes) => pty?.write(bytes) ?? null)
  const kill = () => {
    if (pty !== null) process.kill(-pty.pid, 'SIGKILL')
  }
  t.after(kill)
  let number = 0
  const commands = new Commands({
    writePatienceMs: options.writePatienceMs,
    input: () => (pty === null ? null : input),
    bracketedPaste: () => options.bracketedPaste ?? false,
    stop: kill,
    finished: (of, reason) => {
      finished.push(`${of}: ${reason}`)
      note()
    },
  })
  const until = async (isSo: () => boolean) => {
    while (!isSo()) await changed.promise
  }
  return {
    input,
    finished,
    add(request: CommandRequest): void {
      number += 1
      commands.add(number, request)
    },
    shows: (text: string) => until(() => output.includes(text)),
    dumps: (text: string) => until(() => shown(output).includes(hex(text))),
    finishes: (count: number) => until(() => finished.length >= count),
  }
}

/** Shows each byte that comes as two digits. */
const hexDump = 'stty raw -echo; echo ready; exec od -An -v -tx1 -w1'
const hex = (text: string) => Buffer.from(text).toString('hex').replaceAll(/../g, ' $&')
/** What od says, in one line. */
const shown = (output: string) => output.replaceAll(/\s+/g, ' ')

test('a text, and the Enter key after it as a key of its own, arrive byte for byte and in order', {
  timeout: 20_000,
}, async (t) => {
  const own = await make(t, hexDump)
  await own.shows('ready')
  own.add({ kind: 'send', text: 'grüße\nzwei', enter: true })
  own.add({ kind: 'interrupt' })
  own.add({ kind: 'send', text: 'end', enter: false })
  await own.finishes(3)
  await own.dumps('grüße\rzwei\r\x03end')
  assert.deepEqual(own.finished, ['1: null', '2: null', '3: null'])
})

test('several lines are pasted where the program asks for that', { timeout: 20_000 }, async (t) => {
  const own = await make(t, hexDump, { bracketedPaste: true })
  await own.shows('ready')
  own.add({ kind: 'send', text: 'one\ntwo\x1b[201~', enter: true })
  await own.finishes(1)
  await own.dumps('\x1b[200~one\rtwo[201~\x1b[201~\r')
})

test('an interrupt is what Ctrl-C is', { timeout: 20_000 }, async (t) => {
  const own = await make(t, 'trap "echo caught; exit" INT; echo ready; while :; do sleep 0.05; done')
  await own.shows('ready')
  own.add({ kind: 'interrupt' })
  await own.shows('caught')
  await own.shows('<end>')
  own.add({ kind: 'interrupt' })
  own.add({ kind: 'send', text: 'x', enter: true })
  await own.finishes(3)
  assert.deepEqual(own.finished, ['1: null', '2: the program has ended', '3: the program has ended'])
})

const unread = 'stty raw -echo; echo ready; exec sleep 100'
/** Two of them are more than the kernel keeps for a program. */
const muchText = 'x'.repeat(60 * 1024)

test('a program that does not read holds nothing up for ever', { timeout: 20_000 }, async (t) => {
  const own = await make(t, unread, { writePatienceMs: 300 })
  await own.shows('ready')
  for (let count = 0; count < 4; count++) own.add({ kind: 'send', text: muchText, enter: false })
  await own.finishes(4)
  assert.match(own.finished.at(-1) ?? '', /^4: the program does not read its input; \d+ of 61440 bytes were typed$/)
})

test('a stop is not held up by what waits before it', { timeout: 20_000 }, async (t) => {
  const own = await make(t, unread, { writePatienceMs: 3_600_000 })
  await own.shows('ready')
  for (let count = 0; count < 4; count++) own.add({ kind: 'send', text: muchText, enter: true })
  own.add({ kind: 'stop', force: true })
  await own.shows('<end>')
  await own.finishes(5)
  assert.match(own.finished[3] ?? '', /^4: (the session is being stopped|the program has ended)/)
  assert.equal(own.finished[4], '5: null')
})
