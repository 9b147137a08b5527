// What a session's program finds in its environment.

/** The caller's environment, less what describes the terminal it was typed in, and the service's secrets. */
export function sessionEnvironment(sessionId: string): Record<string, string> {
  const { COLUMNS: _columns, LINES: _lines, TERMCAP: _termcap, ...inherited } = process.env
  const env: Record<string, string> = { TERM: 'xterm-256color', TELECLAUDE_SESSION_ID: sessionId }
  for (const [name, value] of Object.entries(inherited)) {
    const isOurs = name === 'TELECLAUDE_SESSION_ID' || name.startsWith('TELECLAUDE_SECRET_')
    if (value !== undefined && !isOurs) env[name] = value
  }
  return env
}
