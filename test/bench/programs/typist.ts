// Types one key after the other, each some time after the one before, and keeps how long each took to come back:
// `typist.ts telec SOCKET SESSION` as a viewer who drives, `typist.ts terminal PROGRAM...` at a terminal of its own.

import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from '@teleclaude/client/client.ts'
import { toViewerSchema } from '@teleclaude/core/link.ts'
import { viewerProtocol } from '@teleclaude/core/protocol.ts'
import { decodeChunk, encodeInput, snapshotFrameCode } from '@teleclaude/core/transcript.ts'
import { z } from 'zod'
import { spawnPty } from '../../../packages/telec/runner/pty.ts'
import { answerQuestions } from './questions.ts'

const paceMs = 30
const jitterMs = 10
const patienceMs = 10_000
/** They occur in no escape sequence that a terminal is drawn with. */
const keys = 'jqvwxyz'

type Keyboard = { type(key: string): void; onOutput: (bytes: Uint8Array) => void }

async function openViewer(socketPath: string, id: string): Promise<Keyboard> {
  const query = { drive: 'take', show: 'screen', afterSeq: 'end' }
  const socket = await new Client(socketPath).openStream(`/v1/sessions/${id}/attach`, viewerProtocol, query)
  const keyboard: Keyboard = { type: (key) => socket.send(encodeInput(Buffer.from(key))), onOutput: () => undefined }
  socket.on('message', (data: Buffer, isBinary) => {
    if (isBinary && data[0] !== snapshotFrameCode) keyboard.onOutput(decodeChunk(data).bytes)
  })
  socket.resume()
  const [welcome] = await once(socket, 'message')
  const message = toViewerSchema.parse(JSON.parse(String(welcome)))
  if (message.type !== 'welcome' || !message.driving) throw new Error('the service does not let us drive')
  return keyboard
}

function openTerminal([file = '', ...args]: readonly string[]): Keyboard {
  const keyboard: Keyboard = { type: (key) => pty.write(Buffer.from(key)), onOutput: () => undefined }
  const pty = spawnPty(
    { file, args, env: { TERM: 'xterm-256color', LC_ALL: 'C.UTF-8' }, cwd: '/', size: { cols: 80, rows: 24 } },
    { output: (bytes) => keyboard.onOutput(bytes), exited: () => process.exit() },
  )
  process.on('exit', () => process.kill(pty.pid, 'SIGHUP'))
  return keyboard
}

/** Milliseconds until it was there again. */
async function strike(keyboard: Keyboard, key: string): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const timer = setTimeout(() => reject(new Error('a key did not come back')), patienceMs)
  const code = key.charCodeAt(0)
  const startMs = performance.now()
  keyboard.onOutput = (bytes) => {
    if (bytes.includes(code)) resolve(performance.now() - startMs)
  }
  keyboard.type(key)
  const tookMs = await promise
  clearTimeout(timer)
  return tookMs
}

async function measure(count: number): Promise<number[]> {
  const found: number[] = []
  for (let index = 0; index < count; index++) {
    await delay(paceMs - jitterMs + Math.random() * 2 * jitterMs)
    found.push(await strike(keyboard, keys.charAt(index % keys.length)))
  }
  return found
}

const [way, ...words] = process.argv.slice(2)
const keyboard = way === 'telec' ? await openViewer(words[0] ?? '', words[1] ?? '') : openTerminal(words)
answerQuestions((question) => measure(z.object({ count: z.int() }).parse(question).count))
