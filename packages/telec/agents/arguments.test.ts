import assert from 'node:assert/strict'
import { test } from 'node:test'
import { agentToHook } from './arguments.ts'

function agentOf(line: string) {
  const [program = '', ...words] = line.split(' ')
  return agentToHook([program, ...words])
}

test('a person at the prompt of an agent gets hooks', () => {
  const lines = {
    'claude-code': [
      'claude',
      '/opt/claude/bin/claude',
      './claude --resume',
      'claude -c',
      'claude -r 0e5c1a4e fix',
      'claude fix the tests',
      'claude --model opus --permission-mode plan --dangerously-skip-permissions',
      'claude --add-dir ../lib --allowedTools Bash(git:*) Edit',
      'claude --setting-sources user --mcp-config x.json',
      'claude -- mcp',
      'claude fix -- --print',
      'claude --worktree',
    ],
    codex: [
      'codex',
      '/usr/local/bin/codex --yolo',
      'codex resume --last',
      'codex fork',
      'codex -m gpt-5 -p work fix it',
      'codex -c model="o3" --search',
      'codex -- exec',
      'codex --cd /srv --full-auto',
    ],
  } as const
  for (const agent of ['claude-code', 'codex'] as const) {
    for (const line of lines[agent]) assert.equal(agentOf(line), agent, line)
  }
})

test('all else is left as it was typed', () => {
  const lines = [
    'bash',
    'claude.sh',
    'my-claude',
    'gemini',
    'env claude',
    // Their own settings: Claude Code takes no second ones.
    'claude --settings mine.json',
    'claude --settings={}',
    'claude --model opus --settings mine.json',
    'claude mcp list',
    'claude --debug mcp list',
    'claude update',
    'claude doctor',
    'claude config set theme dark',
    'claude plugin install x',
    'claude setup-token',
    'claude agents',
    'claude -p fix',
    'claude -cp fix',
    'claude fix --print',
    'claude --output-format json --print',
    'claude --bg fix',
    'claude --version',
    'claude -v',
    'claude -h',
    'codex exec fix',
    'codex e fix',
    'codex -m gpt-5 exec fix',
    'codex login',
    'codex mcp add x',
    'codex app-server',
    'codex apply 1',
    'codex update',
    'codex --version',
    'codex -V',
    'codex --help',
    'codex --remote ws://127.0.0.1:1',
    // Hooks of their own, in the same place.
    'codex -c hooks.Stop=[]',
    'codex -chooks.Stop=[]',
    'codex --config hooks={}',
    'codex --config=hooks.state={}',
  ]
  for (const line of lines) assert.equal(agentOf(line), null, line)
})
