// The hook as agents call it, against a service that says what the test wants said.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createServer as createSocketServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const hookPath = fileURLToPath(new URL('../bin/hook.mjs', import.meta.url))
const telecPath = fileURLToPath(new URL('../bin/telec.mjs', import.meta.url))
const sessionId = '0f8fad5b-d9cb-469f-a165-70867728950e'
const stop = JSON.stringify({ hook_event_name: 'Stop' })

let directory: string
let socket: string
let service: Server
let status: number
let asked: string[]
before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  socket = join(directory, 's')
  service = createServer(async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    asked.push(`${request.method} ${request.url} ${body}`)
    response.writeHead(status, { 'Content-Type': 'application/problem+json' }).end('{}')
  })
  service.listen(socket)
  await once(service, 'listening')
})
after(() => {
  service.close()
  rmSync(directory, { recursive: true })
})
beforeEach(() => {
  status = 200
  asked = []
})

type Call = { readonly input?: string | null; readonly env?: NodeJS.ProcessEnv; readonly keepOpen?: true }

/** @param call `input` null is /dev/null */
async function run(args: readonly string[], { input = '', env = {}, keepOpen }: Call = {}) {
  const child = spawn(process.execPath, args, {
    cwd: '/',
    env: { ...process.env, HOME: directory, TELECLAUDE_SESSION_ID: sessionId, ...env },
    stdio: [input === null ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  const said: Buffer[] = []
  child.stdout?.on('data', (part: Buffer) => said.push(part))
  child.stderr?.on('data', (part: Buffer) => said.push(part))
  const broken = Promise.withResolvers<string | undefined>()
  child.stdin?.on('error', (error: NodeJS.ErrnoException) => broken.resolve(error.code))
  child.stdin?.write(input ?? '')
  if (!keepOpen) child.stdin?.end(() => broken.resolve(undefined))
  const [code] = await once(child, 'close')
  child.stdin?.destroy()
  return { code, said: Buffer.concat(said).toString('utf8'), broken: input === null ? undefined : broken.promise }
}

async function hook(agent: string, call?: Call, event?: string) {
  const { code, said } = await run([hookPath, agent, socket, ...(event === undefined ? [] : [event])], call)
  assert.deepEqual({ code, said }, { code: 0, said: '' })
}

function patch(state: string): string {
  return `PATCH /v1/sessions/${sessionId} {"agentStatus":{"state":"${state}"}}`
}

test('an event is told as a state, and nothing else of it', async () => {
  const secret = { prompt: 'my secret', cwd: '/secret', tool_name: 'Bash', tool_input: { command: 'secret' } }
  const events = [
    ['claude-code', 'UserPromptSubmit', 'working'],
    ['claude-code', 'PermissionRequest', 'waiting'],
    ['codex', 'Stop', 'idle'],
    ['codex', 'SessionEnd', 'unknown'],
  ] as const
  for (const [agent, event] of events) {
    await hook(agent, { input: JSON.stringify({ ...secret, hook_event_name: event }) })
  }
  assert.deepEqual(
    asked,
    events.map(([, , state]) => patch(state)),
  )
})

test('an event may be an argument, with nothing on standard input', async () => {
  await hook('codex', { input: null }, '{"type":"agent-turn-complete"}')
  assert.deepEqual(asked, [patch('idle')])
})

test('an event of megabytes is read to its end, and counts by its beginning', async () => {
  const input = JSON.stringify({ hook_event_name: 'PostToolUse', tool_response: '🙂'.repeat(1_000_000) })
  const { code, said, broken } = await run([hookPath, 'claude-code', socket], { input })
  assert.deepEqual({ code, said, broken: await broken }, { code: 0, said: '', broken: undefined })
  assert.deepEqual(asked, [patch('working')])
})

test('what is no event is not told', async () => {
  for (const input of ['', 'garbage', '\0\xff', '{"hook_event_name":"PreCompact"}', '[[[[', 'x'.repeat(1_000_000)]) {
    await hook('claude-code', { input })
  }
  await hook('claude', { input: stop })
  await hook('constructor', { input: stop })
  assert.deepEqual(asked, [])
})

test('outside of a session nothing is told, nor of what is no session', async () => {
  for (const id of ['', 'x', `${sessionId}/commands`, '../audit', `${sessionId}\n`]) {
    await hook('claude-code', { input: stop, env: { TELECLAUDE_SESSION_ID: id } })
  }
  assert.deepEqual(asked, [])
})

test('the agent hears nothing of a service that refuses', async () => {
  for (status of [401, 404, 429, 500, 503]) await hook('claude-code', { input: stop })
  assert.equal(asked.length, 5)
})

test('the agent hears nothing of a service that is away', async () => {
  const none = join(directory, 'none')
  for (const path of [none, directory, hookPath, '']) {
    const { code, said } = await run([hookPath, 'claude-code', path], { input: stop })
    assert.deepEqual({ code, said }, { code: 0, said: '' })
  }
  const { code, said } = await run([hookPath], { input: stop, env: { TELECLAUDE_SOCKET: none } })
  assert.deepEqual({ code, said }, { code: 0, said: '' })
})

test('the agent is let go where the service never answers, and where the event never ends', async () => {
  const silent = createSocketServer()
  silent.listen(join(directory, 'silent'))
  await once(silent, 'listening')
  const { code, said } = await run([hookPath, 'claude-code', join(directory, 'silent')], { input: stop })
  silent.close()
  assert.deepEqual({ code, said }, { code: 0, said: '' })
  await hook('claude-code', { input: stop, keepOpen: true })
})

test('`telec hook` is the same, for settings of one’s own', async () => {
  const args = [telecPath, '--socket', socket, 'hook', 'claude-code']
  const { code, said } = await run(args, { input: stop })
  assert.deepEqual({ code, said }, { code: 0, said: '' })
  await run([telecPath, 'hook', 'codex', '{"type":"agent-turn-complete"}'], {
    input: null,
    env: { TELECLAUDE_SOCKET: socket },
  })
  assert.deepEqual(asked, [patch('idle'), patch('idle')])
})
