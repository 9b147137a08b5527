// For tests: a service that says what the test wants said to a runner.

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { FromRunner, ToRunner } from '@teleclaude/core/link.ts'
import { type ProblemCode, problemCodes } from '@teleclaude/core/problem.ts'
import { decodeChunk, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { type WebSocket, WebSocketServer } from 'ws'

export type Accepted = {
  readonly socket: WebSocket
  say(message: ToRunner): void
  /** The next chunk that the runner sends. */
  chunk(): Promise<TranscriptChunk>
  /** The next message that the runner sends. */
  message(): Promise<FromRunner>
}
export type Asked = { accept(ackedSeq: number): Accepted; refuse(code: ProblemCode): void }

/** What comes, one after the other, however many come at once. */
class Queue<Item> {
  readonly #items: Item[] = []
  #wake: (() => void) | null = null

  push(item: Item): void {
    this.#items.push(item)
    this.#wake?.()
  }

  async next(): Promise<Item> {
    for (;;) {
      const item = this.#items.shift()
      if (item !== undefined) return item
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

export type ScriptedService = {
  /** For the test to use; it is removed at its end. */
  readonly directory: string
  readonly socketPath: string
  /** The next runner that wants to connect. */
  asked(): Promise<Asked>
}

export async function startScriptedService(t: TestContext): Promise<ScriptedService> {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  const socketPath = join(directory, 's')
  const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  const server = createServer()
  const waiting = new Queue<Asked>()
  server.on('upgrade', (request: IncomingMessage, connection: Socket, head: Buffer) => {
    waiting.push({
      accept(ackedSeq) {
        let upgraded: WebSocket | null = null
        webSockets.handleUpgrade(request, connection, head, (webSocket) => {
          upgraded = webSocket
        })
        if (upgraded === null) throw new Error('the handshake failed')
        const accepted = listen(upgraded)
        accepted.say({ type: 'welcome', ackedSeq })
        return accepted
      },
      refuse(code) {
        const body = JSON.stringify({ status: problemCodes[code], code, detail: `cannot: ${code}` })
        const lines = [
          `HTTP/1.1 ${problemCodes[code]} No`,
          'Content-Type: application/problem+json',
          'Connection: close',
        ]
        connection.end(`${lines.join('\r\n')}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      },
    })
  })
  server.listen(socketPath)
  await once(server, 'listening')
  t.after(() => {
    for (const socket of webSockets.clients) socket.terminate()
    server.close()
    rmSync(directory, { recursive: true })
  })
  return { directory, socketPath, asked: () => waiting.next() }
}

function listen(socket: WebSocket): Accepted {
  const chunks = new Queue<TranscriptChunk>()
  const messages = new Queue<FromRunner>()
  socket.on('message', (bytes: Buffer, isBinary) => {
    if (isBinary) chunks.push(decodeChunk(bytes))
    else {
      const message: FromRunner = JSON.parse(bytes.toString('utf8'))
      // Each connection begins with it.
      if (message.type !== 'terminal') messages.push(message)
    }
  })
  return {
    socket,
    say: (message) => socket.send(JSON.stringify(message)),
    chunk: () => chunks.next(),
    message: () => messages.next(),
  }
}
