// Tries what no user must be able to do: to log in to the service's own PostgreSQL, past the service.

import { createConnection } from 'node:net'
import { join } from 'node:path'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import { type Finding, fail, ok, reason, warn } from './finding.ts'

const check = 'database-login'
const patienceMs = 5_000
const database = 'teleclaude'
const databaseRoles = ['teleclaude_api', 'teleclaude_owner']
/** invalid_authorization_specification: peer authentication does not know the caller (PostgreSQL manual, appendix A). */
const refused = '28000'

/** @param directory of PostgreSQL's socket
 *  @param who this process is, for the findings */
export async function checkDatabaseLogin(directory: string, who = 'you'): Promise<Finding> {
  const path = join(directory, '.s.PGSQL.5432')
  const look = `ls -la ${shellQuote(directory)}`
  try {
    for (const role of databaseRoles) {
      const answer = await tryLogin(path, role)
      if (answer === 'let in') {
        const mend =
          'docker compose up -d --force-recreate postgres  # in the checkout of the appliance; its pg_hba.conf is not ours'
        return fail(check, `DANGER: PostgreSQL at ${path} lets ${who} in as ${role}`, mend)
      }
      if (answer !== refused)
        return warn(check, `PostgreSQL at ${path} answers ${role} with ${answer}, not ${refused}`, look)
    }
    return ok(check, `PostgreSQL at ${path} refuses ${who}`)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EACCES' || code === 'EPERM') return ok(check, `PostgreSQL at ${path} is closed to ${who}`)
    if (code === 'ENOENT' || code === 'ENOTDIR')
      return ok(check, `no PostgreSQL is at ${path}: the service has another database`)
    return warn(check, `cannot try to log in at ${path}: ${reason(error)}`, look)
  }
}

/** The SQLSTATE of the refusal, or what else the server says first (PostgreSQL manual, "Message Formats", protocol 3.0). */
function tryLogin(path: string, role: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const socket = createConnection(path)
  const parts: Buffer[] = []
  socket.setTimeout(patienceMs, () => socket.destroy(new Error('it does not answer')))
  socket.on('connect', () => socket.write(startupMessage(role)))
  socket.on('data', (part: Buffer) => {
    parts.push(part)
    const answer = readAnswer(Buffer.concat(parts))
    if (answer !== null) resolve(answer)
  })
  socket.on('error', reject)
  socket.on('close', () => reject(new Error('it hangs up')))
  return promise.finally(() => socket.destroy())
}

function startupMessage(role: string): Buffer {
  const parameters = Buffer.from(`user\0${role}\0database\0${database}\0\0`)
  const header = Buffer.alloc(8)
  header.writeInt32BE(header.length + parameters.length, 0)
  header.writeInt32BE(3 << 16, 4)
  return Buffer.concat([header, parameters])
}

/** Null while more has to come. */
function readAnswer(bytes: Buffer): string | null {
  if (bytes.length < 9) return null
  const length = bytes.readInt32BE(1)
  const type = bytes.toString('latin1', 0, 1)
  if (type === 'R') return bytes.readInt32BE(5) === 0 ? 'let in' : 'a question for a password'
  if (type !== 'E') return 'what PostgreSQL does not say'
  if (bytes.length < length + 1) return bytes.length > 65_536 ? 'too much' : null
  const fields = bytes.toString('latin1', 5, length + 1).split('\0')
  return fields.find((field) => field.startsWith('C'))?.slice(1) ?? 'an error without a code'
}
