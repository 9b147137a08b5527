import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { AnswerError, Client, ConnectionError } from './client.ts'

/** A server in a process of its own, whose queue holds next to nothing: `program` makes it. */
async function serve(
  t: TestContext,
  program: string,
): Promise<{ readonly path: string; readonly server: ChildProcess }> {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  const path = join(directory, 's')
  const script = `(${program}).listen({ path: process.argv[1], backlog: 1 }, () => console.log('listens'))`
  const server = spawn(process.execPath, ['-e', script, '--', path], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(async () => {
    const isOver = server.exitCode !== null || server.signalCode !== null
    const ended = isOver ? null : once(server, 'exit')
    server.kill('SIGKILL')
    await ended
    rmSync(directory, { recursive: true })
  })
  await once(server.stdout, 'data')
  return { path, server }
}

const answersPid = `require('node:http').createServer((_, response) => response.end('{"pid":' + process.pid + '}'))`

/** Nothing is taken in until the server goes on. */
async function stopAndFill(t: TestContext, path: string, server: ChildProcess): Promise<void> {
  server.kill('SIGSTOP')
  const waiting: Socket[] = []
  t.after(() => {
    for (const socket of waiting) socket.destroy()
  })
  for (let isFull = false; !isFull; ) {
    const socket = createConnection(path)
    waiting.push(socket)
    isFull = await new Promise((resolve) => {
      socket.on('connect', () => resolve(false))
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EAGAIN'))
    })
  }
}

test('where the queue of connections is full, it is tried again until there is room', async (t) => {
  const { path, server } = await serve(t, answersPid)
  await stopAndFill(t, path, server)
  const answered = new Client(path).whoami()
  // It has been refused once when this one is.
  await assert.rejects(once(createConnection(path), 'connect'), { code: 'EAGAIN' })
  server.kill('SIGCONT')
  assert.partialDeepStrictEqual(await answered, { pid: server.pid })
})

test('where it stays full, that is said', async (t) => {
  const { path, server } = await serve(t, answersPid)
  await stopAndFill(t, path, server)
  const isSaid = (error: unknown) =>
    error instanceof ConnectionError && error.code === 'broken' && /too many others are connecting/.test(error.message)
  const client = new Client(path)
  await Promise.all([assert.rejects(client.whoami(), isSaid), assert.rejects(client.openStream('/x', 'p'), isSaid)])
})

test('a connection that is closed without an answer is explained', async (t) => {
  const { path } = await serve(t, `require('node:net').createServer((socket) => socket.destroy())`)
  await assert.rejects(new Client(path).whoami(), /it closed the connection; where programs of yours ask much of it/)
})

test('an answer that comes before the request is heard', async (t) => {
  const problem = { type: 'about:blank', title: 't', status: 429, code: 'too-many-requests', detail: 'slow down' }
  const body = JSON.stringify(problem)
  const head = ['HTTP/1.1 429 x', 'Content-Type: application/problem+json', `Content-Length: ${body.length}`, '', '']
  const answer = JSON.stringify(head.join('\r\n') + body)
  const program = `require('node:net').createServer({ allowHalfOpen: true }, (socket) => socket.end(${answer}))`
  const { path } = await serve(t, program)
  const isHeard = (error: unknown) => error instanceof AnswerError && error.problem.detail === 'slow down'
  const client = new Client(path)
  await assert.rejects(client.whoami(), isHeard)
  await assert.rejects(client.openStream('/x', 'p'), isHeard)
})

test('a stream that was refused leaves nothing behind that a service that is killed could break', async (t) => {
  // Answers, and leaves the connection open.
  const answer = JSON.stringify('HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n')
  const program = `require('node:net').createServer((socket) => socket.on('data', () => socket.write(${answer})))`
  const pipes = () => process.getActiveResourcesInfo().filter((name) => name === 'PipeWrap').length
  const before = pipes()
  const { path, server } = await serve(t, program)
  await assert.rejects(new Client(path).openStream('/x', 'p'), ConnectionError)
  server.kill('SIGKILL')
  // Its output is a pipe, too.
  await once(server, 'close')
  assert.equal(pipes(), before)
})
