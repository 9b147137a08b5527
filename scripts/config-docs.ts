// Writes what is made from the configuration's schemas: docs/config.md and compose/config.schema.json. With --check it only says
// whether they are current.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileSchemas, jsonSchema } from '@teleclaude/config/schema/json-schema.ts'
import { renderReference } from '@teleclaude/config/schema/reference.ts'

const root = join(import.meta.dirname, '..')

const reference = `# Configuration

<!-- Made by \`npm run docs\` from the schemas that check it (packages/config/schema): change those. -->

Nothing has to be configured: for yourself alone, all that follows has a default. What is wrong is refused, never passed over, with file, line, column and what to do: \`telec config check\`.

| layer | for the machine (Linux; macOS has \`/usr/local/etc\`) | in the appliance's checkout | for yourself alone |
| --- | --- | --- | --- |
| environment | the service's, then \`/etc/teleclaude/.env\` | the container's, then \`compose/.env\` | the daemon's, then \`~/.teleclaude/.env\` |
| secrets | \`$CREDENTIALS_DIRECTORY\`, \`/run/secrets\`, \`/etc/teleclaude/secrets.yml\` | \`/run/secrets\`, \`compose/secrets.yml\` | \`$CREDENTIALS_DIRECTORY\`, \`~/.teleclaude/secrets.yml\` |
| system | \`/etc/teleclaude/config.yml\` | \`compose/config.yml\` | \`~/.teleclaude/config.yml\` |
| personal | each user's \`~/.teleclaude/config.yml\` | the same | the same file |

What comes first counts: environment, secrets, system, defaults. A file \`.env\` is read beside the configuration and nowhere else; a variable of the environment comes before it, and an empty one is none.
The personal layer is read by \`telec\`, as its user, and has keys of its own: it can't set one of the machine's.

\`\`\`sh
telec config show                   # the values that count; --origin: each with its layer and line, what it hides, and when a change counts
telec config show notice            # one of them
telec config check [FILE...]        # every problem at once; exits 78 if there is one. No service has to run
telec config reload                 # for admins; SIGHUP does the same. All of it or nothing, and on the record
telec config schema [KIND]          # JSON Schema of system, single-user, personal, secrets
\`\`\`

Editors that know \`yaml-language-server\` complete and check where the file begins with \`# yaml-language-server: $schema=config.schema.json\` and that schema is beside it. \`scripts/start\` writes both if there is no configuration yet; the appliance's has them.

## Which mode

\`telec config show\` and \`telec doctor\` say it. A service of the machine (\`services/api\`) is in system mode, \`telec daemon\` in single-user mode. \`telec\` itself is in the mode of the socket it finds: \`--socket\`, \`TELECLAUDE_SOCKET\`, your own if it is there, the machine's.

## For the machine: \`config.yml\`

${renderReference(fileSchemas.system.schema)}

Where several rules name a caller, this order decides: \`people\` (no two may claim one OS user), \`groups\` (the first that matches), \`accounts\`, nobody. \`telec whoami\` says which it was.

## For yourself: \`~/.teleclaude/config.yml\`

With the machine's service, these and no others:

${renderReference(fileSchemas.personal.schema)}

Without one, the same file also has \`host\`, \`log_level\`, \`notice\` and \`database\`, as above.

\`\`\`yaml
agent: claude
mode: plan
agents:
  claude:
    modes:
      plan: [--permission-mode, plan]
title: "{agent} in {project}"
projects:
  ~/code/payments:
    agent: codex
\`\`\`

The mode that you prefer applies to agents that have it. In a project, its entry comes before what is said for everywhere; on the command line, \`--agent\`, \`--mode\` and \`--title\` come before both.

## Secrets

A secret never stands in \`config.yml\`, nor in a personal file: what looks like one is refused there. Where a value is secret, the file names it,

\`\`\`yaml
database:
  url: { secret: database_url }
\`\`\`

and the value is in the first of these that has it: the variable \`TELECLAUDE_SECRET_DATABASE_URL\`; the file that \`TELECLAUDE_SECRET_DATABASE_URL_FILE\` names; \`$CREDENTIALS_DIRECTORY/database_url\` (systemd's \`LoadCredential=\`); \`/run/secrets/database_url\` or \`database-url\` (Docker's secrets); \`secrets.yml\`:

\`\`\`yaml
database_url: "postgresql://teleclaude_api:PASSWORD@db.example.org/teleclaude?sslmode=verify-full"
\`\`\`

Write values in quotes: YAML takes what follows \` #\` for a comment. In Swarm, secrets are open to everybody unless the service's file says \`mode: 0400\` and whose they are (\`uid\`).

A file of secrets has to be root's or the service's, in directories that nobody else can write to, itself and not a link, and closed: \`0600\`, or \`0640\` for the service's group. A service of the machine does not start otherwise, and says which command mends it; for yourself alone it is a warning. Secrets are in no log, message, record, answer or file that TeleClaude writes, and no session inherits them from the service; what you export in your own shell is yours, and your sessions have it.

## What a change takes

\`live\`: \`telec config reload\`, or SIGHUP, without touching sessions or connections. \`restart\`: the service has to be started anew; sessions go on meanwhile. \`next command\`: nothing. Files that somebody is just writing are waited for. A reload that is refused changes nothing. Both are in the audit log, with what changed, as is the configuration that a service starts with.

## From a single-user TeleClaude

\`telec config split --from OLD/config.yml --env OLD/.env --people ~/.teleclaude/teleclaude.yml --to DIR\` makes the layers out of an older installation: \`DIR/config.yml\`, \`DIR/secrets.yml\`, \`DIR/personal.yml\`. The originals stay as they are; what has no meaning here is kept under \`legacy:\`; a report says where everything went and what is left to do. \`--dry-run\` only says it.
`

const files: readonly { readonly path: string; readonly text: string }[] = [
  { path: 'docs/config.md', text: reference },
  { path: 'compose/config.schema.json', text: `${JSON.stringify(jsonSchema('system'), null, 2)}\n` },
]

function read(path: string): string | null {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    return null
  }
}

const stale = files.filter(({ path, text }) => read(path) !== text)
if (process.argv.includes('--check')) {
  for (const { path } of stale) console.error(`${path} is not what its source makes of it: npm run docs`)
  process.exitCode = stale.length === 0 ? 0 : 1
} else {
  for (const { path, text } of stale) {
    writeFileSync(join(root, path), text)
    console.log(`Wrote ${path}`)
  }
}
