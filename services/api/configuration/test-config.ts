// For tests: the configuration of a service that nobody has configured.

import { loadSingleUserConfig } from '@teleclaude/config/load.ts'
import { pino } from 'pino'
import { RunningConfig } from './running-config.ts'

export function testConfig(): RunningConfig {
  const files = { configFile: '/nowhere/config.yml', secretsFile: '/nowhere/secrets.yml', envFile: '/nowhere/.env' }
  const load = () => loadSingleUserConfig({ ...files, env: {} })
  return new RunningConfig({ mode: 'single-user', files, load }, load(), pino({ level: 'silent' }))
}
