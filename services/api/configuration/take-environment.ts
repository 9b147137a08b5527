// The environment is every child's: what is secret in it is ours alone.

import type { Variables } from '@teleclaude/config/environment.ts'

/** A copy for the configuration to be read from; in the original there are no secrets of ours any more. */
export function takeEnvironment(env: NodeJS.ProcessEnv): Variables {
  const taken = { ...env }
  for (const name of Object.keys(env)) {
    if (name === 'DATABASE_URL' || name.startsWith('TELECLAUDE_SECRET_')) delete env[name]
  }
  return taken
}
