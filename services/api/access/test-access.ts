// For tests: a service in this process that takes who asks for whomever the test says, and sessions of somebody else.

import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { AnswerError, type Client } from '@teleclaude/client/client.ts'
import type { AccessGrant } from '@teleclaude/core/access.ts'
import type { TranscriptQuery } from '@teleclaude/core/api.ts'
import type { AuditAction, AuditEntry } from '@teleclaude/core/audit.ts'
import type { Caller, PeerCredentials } from '@teleclaude/core/caller.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import type { ProblemCode } from '@teleclaude/core/problem.ts'
import type { Role } from '@teleclaude/core/role.ts'
import type { Session } from '@teleclaude/core/session.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { newSession } from '@teleclaude/store/test-engines.ts'
import type { Identity } from '../identity/identity.ts'
import { serveInProcess } from '../test-serve.ts'

export const host = 'h'

/** Who asks, from now on. */
export type Asking = { person: string; role: Role }

/** Of everybody, by name: as they are now. */
export type Roles = Record<string, Role>

export function testIdentity(asking: Asking, roles: Roles): Identity {
  const caller = (credentials: PeerCredentials, person: string, role: Role): Caller => ({
    ...{ credentials, osUser: person, person, role },
    ...{ because: 'a test says so', rule: null, refusal: 'a test does not know you' },
  })
  const nobody = { uid: 1, gid: 1, groups: [], pid: 0 }
  return {
    refuse: () => null,
    resolve: (peer) => caller(peer, asking.person, roles[asking.person] ?? asking.role),
    isNamed: () => true,
    imagine: (name) => (roles[name] === undefined ? null : caller(nobody, name, roles[name])),
    imagineUid: () => ({ caller: caller(nobody, asking.person, asking.role), isStranger: false }),
    explainAccount: () => [],
  }
}

export async function serveTo(t: TestContext, store: Store, where = host) {
  const asking: Asking = { person: 'ada', role: 'admin' }
  const roles: Roles = { ada: 'admin', ben: 'admin', alice: 'member' }
  const { client, stop } = await serveInProcess(t, store, where, testIdentity(asking, roles))
  return { client, stop, asking, roles }
}

export async function alicesSession(store: Store, outputs: readonly string[], where = host): Promise<Session> {
  const session = await store.sessions.create(newSession({ host: where }))
  const chunks = outputs.map((output, index) => ({
    seq: index + 1,
    kind: 'output' as const,
    offsetUs: index,
    bytes: Buffer.from(output),
  }))
  if (chunks.length > 0) await store.transcripts.append([{ sessionId: session.id, chunks, atUs: nowUs() }])
  return session
}

/** As another host's service, or the one before this one, has opened it. */
export async function putGrant(
  store: Store,
  session: Session,
  change: Partial<AccessGrant> & { readonly minutes?: number } = {},
): Promise<AccessGrant> {
  const { minutes = 10, ...changed } = change
  const grant: AccessGrant = {
    id: crypto.randomUUID(),
    host,
    sessionId: session.id,
    owner: session.owner.person,
    grantee: { person: 'ada', uid: 1 },
    reason: 'to see',
    drive: false,
    openedAtUs: nowUs(),
    expiresAtUs: nowUs() + minutes * 60_000_000,
    ended: null,
    ...changed,
  }
  await store.access.open(grant, crypto.randomUUID())
  return grant
}

export type Entry = AuditEntry & { readonly action: AuditAction }

/** What the log says, of those actions and in that order. */
export async function entries(store: Store, wanted: RegExp, where = host): Promise<readonly Entry[]> {
  const stored = await store.audit.read(where, { afterSeq: 0, limit: 1000 })
  return stored
    .map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')) as Entry)
    .filter(({ action }) => wanted.test(action))
}

export async function readAll(client: Client, id: string, query: TranscriptQuery = { format: 'raw' }): Promise<string> {
  return text(await client.readTranscript(id, query))
}

/** For what is put down in its own time. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await delay(10)
}

/** For assert.rejects. */
export function isProblem(code: ProblemCode, says = /^cannot /) {
  return (error: unknown) => {
    if (!(error instanceof AnswerError)) throw error
    if (error.problem.code !== code || !says.test(error.problem.detail)) throw error
    return true
  }
}
