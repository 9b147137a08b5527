import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionExit } from '@teleclaude/core/session.ts'
import { type Pty, spawnPty } from './pty.ts'

type Ran = { readonly output: Buffer; readonly exit: SessionExit }

function runShell(script: string, interact: (pty: Pty, seen: () => string) => void = () => undefined): Promise<Ran> {
  const parts: Buffer[] = []
  const seen = () => Buffer.concat(parts).toString('latin1')
  return new Promise((resolve) => {
    const pty = spawnPty(
      {
        file: '/bin/sh',
        args: ['-c', script],
        env: { PATH: '/usr/bin:/bin', TERM: 'xterm' },
        cwd: '/',
        size: { cols: 80, rows: 24 },
      },
      {
        output: (bytes) => {
          parts.push(Buffer.from(bytes))
          interact(pty, seen)
        },
        exited: (exit) => resolve({ output: Buffer.concat(parts), exit }),
      },
    )
  })
}

test('a program that ends with output in flight loses none of it, time after time', async () => {
  for (let round = 0; round < 20; round++) {
    const { output, exit } = await runShell('seq 1 20000')
    assert.equal(output.toString(), Array.from({ length: 20_000 }, (_, index) => `${index + 1}\r\n`).join(''))
    assert.deepEqual(exit, { kind: 'exited', code: 0 })
  }
})

test('the end is not held up by a descendant that keeps the terminal open', async () => {
  const { output, exit } = await runShell('trap "" HUP; sleep 30 & echo started; exit 3')
  assert.match(output.toString(), /started/)
  assert.deepEqual(exit, { kind: 'exited', code: 3 })
})

test('bytes that are no text pass as they are', async () => {
  const { output } = await runShell(
    `stty raw; i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %03o $i)"; i=$((i+1)); done`,
  )
  assert.deepEqual(output, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)))
})

test('a signal that ends the program is named', async () => {
  const { exit } = await runShell('kill -KILL $$')
  assert.deepEqual(exit, { kind: 'signalled', signal: 'SIGKILL' })
})

test('what is written is typed in, and the size is the one that was set', async () => {
  let typed = false
  const { output } = await runShell('echo ready; read line; echo "got $line"; stty size', (pty, seen) => {
    if (typed || !seen().includes('ready')) return
    typed = true
    pty.resize({ cols: 132, rows: 50 })
    pty.write(Buffer.from('hello\n'))
  })
  assert.match(output.toString(), /got hello\r\n50 132\r\n$/)
})

test('a terminal that is not read holds its program, and reading goes on where it was', async () => {
  let paused = 0
  const { output } = await runShell('seq 1 100000', (pty) => {
    if (paused >= 5) return
    paused += 1
    pty.pause()
    setTimeout(() => pty.resume(), 20)
  })
  assert.equal(output.toString(), Array.from({ length: 100_000 }, (_, index) => `${index + 1}\r\n`).join(''))
})

test('a terminal that is not read is read to the end when its program ends', async () => {
  const { output, exit } = await runShell('echo one; sleep 0.1; seq 1 100; exit 3', (pty) => pty.pause())
  assert.match(output.toString(), /^one\r\n1\r\n[\s\S]*\n100\r\n$/)
  assert.deepEqual(exit, { kind: 'exited', code: 3 })
})

test('a descendant that goes on writing does not hold up the end', async () => {
  const { exit } = await runShell('trap "" HUP; yes & sleep 0.2; exit 3')
  assert.deepEqual(exit, { kind: 'exited', code: 3 })
})

test('a terminal can be as small and as large as any', async () => {
  const sizes = [
    { cols: 1, rows: 1 },
    { cols: 10_000, rows: 10_000 },
  ]
  const { output } = await runShell(
    'stty -echo; for i in 1 2; do echo next; read line; stty size; done',
    (pty, seen) => {
      if (!seen().endsWith('next\r\n')) return
      const size = sizes.shift()
      if (size !== undefined) pty.resize(size)
      pty.write(Buffer.from('\n'))
    },
  )
  assert.equal(output.toString(), 'next\r\n1 1\r\nnext\r\n10000 10000\r\n')
})
