// For scripts/start: a configuration file that says nothing yet, where there is none, and the schema that editors complete it with.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { singleUserLayout } from '@teleclaude/config/layout.ts'
import { jsonSchema } from '@teleclaude/config/schema/json-schema.ts'

const template = `# yaml-language-server: $schema=config.schema.json
# TeleClaude, for yourself. Nothing here is needed: docs/config.md has all keys. To see whether it is right: telec config check

#agent: claude                       # what \`telec run\` starts without a command
#title: "{program} in {project}"     # what lists call a session
#colours: auto                       # or always, never
`

const { configFile } = singleUserLayout(homedir())
const schemaFile = join(dirname(configFile), 'config.schema.json')
const schema = `${JSON.stringify(jsonSchema('single-user'), null, 2)}\n`

function isWritten(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST'
}

function readSchema(): string | null {
  try {
    return readFileSync(schemaFile, 'utf8')
  } catch {
    return null
  }
}

try {
  mkdirSync(dirname(configFile), { recursive: true, mode: 0o700 })
  if (readSchema() !== schema) {
    const beside = `${schemaFile}.${process.pid}`
    writeFileSync(beside, schema, { mode: 0o600, flag: 'wx' })
    renameSync(beside, schemaFile)
  }
  try {
    writeFileSync(configFile, template, { mode: 0o600, flag: 'wx' })
    console.log(`Wrote ${configFile}: nothing is set in it yet.`)
  } catch (error) {
    if (!isWritten(error)) throw error
  }
} catch (error) {
  // Everything works without: the daemon says what is wrong with the directory.
  console.log(`cannot write ${configFile}: ${error instanceof Error ? error.message : error}`)
}
