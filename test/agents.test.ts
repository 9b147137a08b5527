// What agents do, as lists show it: from the hooks that `telec run` starts Claude Code and Codex with. The agents here are stand-ins
// that read what they are given, and call their hooks, the way the real ones do.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { singleUserLayout } from '@teleclaude/config/layout.ts'
import type { AgentState } from '@teleclaude/core/session.ts'
import { Installation } from './support/installation.ts'

/** Says its arguments to the socket, then does what comes from there: an event, or the end. */
const agent = `#!${process.execPath}
const { spawnSync } = require('node:child_process')
const { readFileSync } = require('node:fs')
const { basename } = require('node:path')
const args = process.argv.slice(2)
function commandsOf(event) {
  if (basename(process.argv[1]) === 'claude') {
    const file = args[args.indexOf('--settings') + 1]
    const groups = JSON.parse(readFileSync(file, 'utf8')).hooks[event.hook_event_name] ?? []
    const value = event.tool_name ?? event.notification_type ?? event.source ?? ''
    const fitting = groups.filter(({ matcher }) => matcher === undefined || new RegExp('^(' + matcher + ')$').test(value))
    return fitting.flatMap(({ hooks }) => hooks.map(({ command }) => command))
  }
  const option = args.find((arg) => arg.startsWith('hooks.' + event.hook_event_name + '='))
  return option === undefined ? [] : [JSON.parse(/command=("(?:[^"\\\\]|\\\\.)*")/.exec(option)[1])]
}
const socket = require('node:net').connect(process.env.AGENT_TEST)
socket.write(JSON.stringify(args) + '\\n')
require('node:readline').createInterface(socket).on('line', (line) => {
  if (line === 'end') process.exit(7)
  const ran = commandsOf(JSON.parse(line)).map((command) => {
    const { status, stdout, stderr } = spawnSync('/bin/sh', ['-c', command], { input: line, env: { ...process.env, PATH: '/nowhere' } })
    return { status, said: stdout.toString() + stderr.toString() }
  })
  socket.write(JSON.stringify(ran) + '\\n')
})
`

let own: Installation
let server: Server
before(async () => {
  own = await Installation.make('sqlite')
  const bin = join(own.home, 'bin')
  mkdirSync(bin)
  for (const name of ['claude', 'codex']) {
    writeFileSync(join(bin, name), agent)
    chmodSync(join(bin, name), 0o755)
  }
  own.env.PATH = `${bin}:${own.env.PATH}`
  own.env.AGENT_TEST = join(own.home, 'agent.sock')
  server = createServer()
  server.listen(own.env.AGENT_TEST)
  await once(server, 'listening')
})
after(async () => {
  server.close()
  await own[Symbol.asyncDispose]()
})
afterEach(() => rmSync(singleUserLayout(own.home).configFile, { force: true }))

async function start(words: readonly string[]) {
  const connected = once(server, 'connection') as Promise<[Socket]>
  const { code, stdout, stderr } = await own.telec(['run', '--detach', '--', ...words])
  assert.equal(code, 0, stderr)
  const id = stdout.toString().trim()
  const [socket] = await connected
  const lines = createInterface(socket)[Symbol.asyncIterator]()
  const answer = async () => JSON.parse((await lines.next()).value ?? 'null')
  return {
    id,
    settings: join(own.home, '.teleclaude/run/agents', `${id}.json`),
    args: (await answer()) as readonly string[],
    /** The event has come to the service when its hooks are through. */
    async meet(event: string, more: object = {}): Promise<AgentState> {
      socket.write(`${JSON.stringify({ session_id: 'x', cwd: '/', hook_event_name: event, ...more })}\n`)
      assert.deepEqual(await answer(), [{ status: 0, said: '' }], event)
      return (await own.client.readSession(id)).agentStatus.state
    },
    async end() {
      socket.write('end\n')
      return own.until(id, ({ status }) => status === 'ended')
    },
  }
}

test('Claude Code works, waits for its human, works on, and is idle', { timeout: 60_000 }, async () => {
  const session = await start(['claude', 'fix it'])
  assert.deepEqual(session.args, ['--settings', session.settings, 'fix it'])
  assert.equal(statSync(session.settings).mode & 0o7777, 0o600)
  const { argv, agentStatus } = await own.client.readSession(session.id)
  assert.deepEqual(argv, ['claude', 'fix it'], 'as it was typed')
  assert.equal(agentStatus.state, 'unknown')

  assert.equal(await session.meet('SessionStart', { source: 'startup' }), 'idle')
  assert.equal(await session.meet('UserPromptSubmit', { prompt: 'fix it' }), 'working')
  assert.equal(await session.meet('PreToolUse', { tool_name: 'Bash' }), 'working')
  assert.equal(await session.meet('PermissionRequest', { tool_name: 'Bash' }), 'waiting')
  assert.equal(await session.meet('Notification', { notification_type: 'permission_prompt' }), 'waiting')
  assert.equal(await session.meet('PostToolUse', { tool_name: 'Bash' }), 'working')
  assert.equal(await session.meet('Stop'), 'idle')
  const { source, since } = (await own.client.readSession(session.id)).agentStatus
  assert.equal(source, 'hook')
  assert.ok(since !== null && since <= new Date().toISOString())
  assert.equal(await session.meet('SessionEnd', { reason: 'other' }), 'unknown')

  const { exit } = await session.end()
  assert.deepEqual(exit, { kind: 'exited', code: 7 })
  while (existsSync(session.settings)) await delay(20)
})

test('Codex works, waits for its human, and is idle', { timeout: 60_000 }, async () => {
  const session = await start(['codex', 'resume', '--last'])
  assert.deepEqual(session.args.slice(-2), ['resume', '--last'])
  assert.ok(!existsSync(session.settings))
  assert.equal(await session.meet('UserPromptSubmit'), 'working')
  assert.equal(await session.meet('PermissionRequest'), 'waiting')
  assert.equal(await session.meet('Interrupt'), 'idle')
  await session.end()
})

describe('an agent is started as it was typed', () => {
  test('where the person has settings of their own for it', { timeout: 60_000 }, async () => {
    const session = await start(['claude', '--settings', '{}'])
    assert.deepEqual(session.args, ['--settings', '{}'])
    await session.end()
  })

  test('where the person does not want its status', { timeout: 60_000 }, async () => {
    writeFileSync(singleUserLayout(own.home).configFile, 'agent_status: false\n', { mode: 0o600 })
    for (const words of [['claude', 'fix it'], ['codex']] as const) {
      const session = await start(words)
      assert.deepEqual(session.args, words.slice(1))
      assert.equal((await session.end()).agentStatus.state, 'unknown')
    }
  })
})
