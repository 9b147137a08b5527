import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type HookedAgent, stateOf } from './events.ts'

function state(agent: HookedAgent, event: string, more: object = {}) {
  return stateOf(agent, JSON.stringify({ session_id: 'x', cwd: '/', hook_event_name: event, ...more }))
}

for (const agent of ['claude-code', 'codex'] as const) {
  test(`${agent} works from the prompt to the end of its turn`, () => {
    for (const event of ['UserPromptSubmit', 'PreToolUse', 'PostToolUse']) assert.equal(state(agent, event), 'working')
    assert.equal(state(agent, 'PreToolUse', { tool_name: 'Bash', tool_input: { command: 'true' } }), 'working')
    assert.equal(state(agent, 'Stop', { last_assistant_message: 'done' }), 'idle')
    assert.equal(state(agent, 'SessionEnd', { reason: 'other' }), 'unknown')
  })

  test(`${agent} waits where it asks for permission`, () => {
    assert.equal(state(agent, 'PermissionRequest', { tool_name: 'Bash' }), 'waiting')
  })

  test(`${agent} is idle when it starts, and not when it compacts what it knows`, () => {
    for (const source of ['startup', 'resume', 'clear']) assert.equal(state(agent, 'SessionStart', { source }), 'idle')
    assert.equal(state(agent, 'SessionStart', { source: 'compact' }), null)
    assert.equal(state(agent, 'SessionStart'), null)
  })

  test(`of anything else ${agent} says nothing`, () => {
    for (const event of ['SubagentStop', 'PreCompact', 'constructor', '', 'stop'])
      assert.equal(state(agent, event), null)
    const texts = [
      '',
      '{}',
      'null',
      '[]',
      '{"hook_event_name":',
      '{"hook_event_name":7}',
      '{"hook_event_name":"St',
      '\0',
      '🙂',
    ]
    for (const text of texts) assert.equal(stateOf(agent, text), null, text)
  })
}

test('a question of a tool is a wait', () => {
  assert.equal(state('claude-code', 'PreToolUse', { tool_name: 'AskUserQuestion' }), 'waiting')
  assert.equal(state('claude-code', 'PreToolUse', { tool_name: 'ExitPlanMode' }), 'waiting')
  assert.equal(state('codex', 'PreToolUse', { tool_name: 'request_user_input' }), 'waiting')
})

test('a failed tool goes on, a failed turn is over, and so is one that was interrupted', () => {
  assert.equal(state('claude-code', 'PostToolUseFailure'), 'working')
  assert.equal(state('claude-code', 'StopFailure'), 'idle')
  assert.equal(state('codex', 'Interrupt'), 'idle')
})

test('of the notifications of Claude Code some want a human', () => {
  const said = (type: string) =>
    state('claude-code', 'Notification', { message: 'Claude needs', notification_type: type })
  for (const type of ['permission_prompt', 'elicitation_dialog', 'agent_needs_input']) {
    assert.equal(said(type), 'waiting', type)
  }
  assert.equal(said('elicitation_response'), 'working')
  assert.equal(said('idle_prompt'), 'idle')
  for (const type of ['auth_success', 'elicitation_complete', '']) assert.equal(said(type), null, type)
})

test('what Codex tells the program of its notify setting is the end of a turn', () => {
  const text = '{"type":"agent-turn-complete","turn-id":"1","last-assistant-message":"done"}'
  assert.equal(stateOf('codex', text), 'idle')
  assert.equal(stateOf('claude-code', text), null)
  assert.equal(stateOf('codex', '{"type":"approval-requested"}'), null)
})

test('no text that an agent has read or written passes for an event', () => {
  const content = '"hook_event_name":"Stop","tool_name":"AskUserQuestion","notification_type":"idle_prompt",'
  for (const text of [content, JSON.stringify(content)]) {
    assert.equal(stateOf('claude-code', JSON.stringify({ cwd: text, prompt: text })), null)
    const asked = { message: text, notification_type: 'permission_prompt' }
    assert.equal(state('claude-code', 'Notification', asked), 'waiting')
    assert.equal(state('claude-code', 'PreToolUse', { tool_name: 'Bash', tool_input: { command: text } }), 'working')
  }
  assert.equal(state('claude-code', 'PreToolUse', { tool_input: { hook_event_name: 'Stop' } }), 'working')
})

test('the beginning of an event is enough', () => {
  const text = JSON.stringify({ hook_event_name: 'PostToolUse', tool_name: 'Read', tool_response: 'x'.repeat(1_000) })
  assert.equal(stateOf('claude-code', text.slice(0, 200)), 'working')
})
