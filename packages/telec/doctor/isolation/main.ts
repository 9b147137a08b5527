// The process that becomes the throwaway user: reads from standard input what to try, gives up root for good, tries, and writes
// what came of it to standard output. It has no environment and no secret. Everything that it needs is loaded before, because
// the program may lie where that user can not read.

import { once } from 'node:events'
import { closeSync, constants, openSync, readFileSync, rmdirSync, rmSync, unlinkSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { createConnection } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { checkDatabaseLogin } from '../database-login.ts'
import { reason } from '../finding.ts'
import type { Attempt, Probe, ProbeAnswer, Report, Task } from './attempts.ts'

const patienceMs = 10_000
const maxAnswerBytes = 64 * 1024
const mostRetries = 10
const tooMany = 429

const task = JSON.parse(await text(process.stdin)) as Task
becomeNobody(task.uid)
process.stdout.write(JSON.stringify(await tryAll(task)))

/** @throws Error where anything of root is left */
function becomeNobody(id: number): void {
  const { setgroups, setgid, setuid, getgroups } = process
  if (!setgroups || !setgid || !setuid || !getgroups) throw new Error('this platform has no users')
  setgroups([])
  setgid(id)
  setuid(id)
  // The C library's own list has the group of the process in it.
  const ids = [process.getuid?.(), process.geteuid?.(), process.getgid?.(), process.getegid?.(), ...getgroups()]
  if (ids.some((own) => own !== id)) throw new Error('it has kept a user or group of root')
  if (process.platform !== 'linux') return
  // capabilities(7): who leaves uid 0 loses them, but for a process whose securebits say otherwise.
  const status = readFileSync('/proc/self/status', 'ascii')
  const kept = /^Cap(Prm|Eff|Inh|Amb):\s*0*[1-9a-f]/m.exec(status)
  if (kept !== null) throw new Error('it has kept capabilities of root')
}

async function tryAll({ uid, socket, probes, attempts, databaseDirectory }: Task): Promise<Report> {
  const ask = askOver(socket)
  const whoami = await ask({ method: 'GET', path: '/v1/whoami', body: null, protocol: null })
  const answers: ProbeAnswer[] = []
  for (const probe of probes) answers.push('failure' in whoami ? whoami : await ask(probe))
  return {
    whoami,
    probes: answers,
    outcomes: await Promise.all(attempts.map(outcomeOf)),
    database: await checkDatabaseLogin(databaseDirectory, `uid ${uid}`),
  }
}

/** The error's code, null where it worked. */
async function outcomeOf(attempt: Attempt): Promise<string | null> {
  try {
    await carryOut(attempt)
    return null
  } catch (error) {
    return codeOf(error)
  }
}

async function carryOut(attempt: Attempt): Promise<void> {
  switch (attempt.kind) {
    case 'open':
      return open(attempt.path, constants.O_RDONLY)
    case 'make':
      open(attempt.path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL)
      return takeAway(attempt.path)
    case 'remove-file':
      return endWith('ENOTDIR', () => rmdirSync(attempt.path))
    case 'remove-directory':
      return endWith('EISDIR', () => unlinkSync(attempt.path))
    case 'connect': {
      const socket = createConnection(attempt.path)
      await once(socket, 'connect')
      socket.destroy()
      return
    }
    case 'signal':
      process.kill(attempt.pid, 0)
  }
}

/** That it was made is what counts. */
function takeAway(path: string): void {
  try {
    rmSync(path)
  } catch (error) {
    process.stderr.write(`cannot remove ${path}: ${reason(error)}\n`)
  }
}

/** With this error it got as far as it can: past the question whether one may (vfs_rmdir and vfs_unlink, fs/namei.c). */
function endWith(code: string, attempt: () => void): void {
  try {
    attempt()
  } catch (error) {
    if (codeOf(error) !== code) throw error
  }
}

/** What is in somebody's directory may be a FIFO or a terminal. */
function open(path: string, flags: number): void {
  closeSync(openSync(path, flags | constants.O_NONBLOCK | constants.O_NOCTTY, 0o600))
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : reason(error)
}

type Sent = { readonly answer: ProbeAnswer; readonly waitSeconds: number }

function askOver(socketPath: string): (probe: Probe) => Promise<ProbeAnswer> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return async (probe) => {
    // Nobody's requests are few enough to wait one's turn for, where others ask as well.
    for (let tries = 1; ; tries += 1) {
      const { answer, waitSeconds } = await send(socketPath, agent, probe)
      const isBusy = 'status' in answer && answer.status === tooMany
      const isStale = 'failure' in answer && ['ECONNRESET', 'EPIPE', 'EAGAIN'].includes(answer.failure)
      if (tries === mostRetries || !(isBusy || isStale)) return answer
      await delay(waitSeconds * 1_000)
    }
  }
}

async function send(socketPath: string, agent: Agent, { method, path, body, protocol }: Probe): Promise<Sent> {
  const handshake =
    protocol === null
      ? {}
      : {
          Connection: 'Upgrade',
          Upgrade: 'websocket',
          'Sec-WebSocket-Version': '13',
          'Sec-WebSocket-Protocol': protocol,
        }
  const headers =
    body === null ? handshake : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }
  try {
    const sent = request({
      socketPath,
      agent: protocol === null ? agent : false,
      method,
      path,
      headers,
      signal: AbortSignal.timeout(patienceMs),
    })
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    sent.on('response', resolve)
    sent.on('error', reject)
    sent.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve(response)
    })
    sent.end(body)
    const response = await promise
    // Refusals are JSON. What is not may go on without end.
    const saysMore = /json/.test(response.headers['content-type'] ?? '')
    if (!saysMore) response.destroy()
    const waitSeconds = Math.min(Number(response.headers['retry-after'] ?? 1) || 1, 5)
    return {
      answer: { status: response.statusCode ?? 0, body: saysMore ? await readSome(response) : '' },
      waitSeconds,
    }
  } catch (error) {
    return { answer: { failure: codeOf(error) }, waitSeconds: 0.1 }
  }
}

/** What is longer is no refusal. */
async function readSome(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of response as AsyncIterable<Buffer>) {
    parts.push(part)
    bytes += part.length
    if (bytes > maxAnswerBytes) break
  }
  return Buffer.concat(parts).toString('utf8')
}
