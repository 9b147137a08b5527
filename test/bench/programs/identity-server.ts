// Accepts connections, finds out who has connected as the service does, and keeps how long that took.

import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { People } from '@teleclaude/core/people.ts'
import { preparePeerReader, readPeer } from '@teleclaude/peercred/peer.ts'
import { migrate, openStore } from '@teleclaude/store/open.ts'
import { z } from 'zod'
import { Accounts } from '../../../services/api/identity/accounts.ts'
import { systemIdentity } from '../../../services/api/identity/system.ts'
import { grantedGid, group, type Kind, kindOf, person, users } from './callers.ts'
import { answerQuestions } from './questions.ts'

/** Whoever connects is found last. */
const rules: People = {
  people: Array.from({ length: 50 }, (_, index) => ({
    name: `person-${index}`,
    role: 'member',
    osUsernames: [`bench-user-${index}`],
    osUids: [index === 49 ? person.uid : 70_000 + index],
    rule: `people.person-${index}`,
  })),
  groups: Array.from({ length: 10 }, (_, index) => ({
    gid: index === 9 ? grantedGid : 80_000 + index,
    role: 'member',
  })),
  accounts: null,
}

const directory = mkdtempSync(join(tmpdir(), 'tc-bench-'))
chmodSync(directory, 0o755)
process.on('exit', () => rmSync(directory, { recursive: true }))
const target = { engine: 'sqlite', file: join(directory, 'accounts.db') } as const
await migrate(target)
const store = await openStore(target)
for (const { uid } of users)
  await store.accounts.bind('h', { uid, osUser: uid === group.uid ? 'daemon' : null, boundAtUs: 0 })
const identity = systemIdentity(() => rules, await Accounts.load({ store, host: 'h' }))
preparePeerReader()

let taken: Partial<Record<Kind, number[]>> = {}
const server = createServer((socket) => {
  const startMs = performance.now()
  const peer = readPeer(socket)
  const caller = identity.resolve(peer)
  const us = (performance.now() - startMs) * 1000
  const kind = kindOf(peer.uid)
  const isSomebody = kind === 'person' || kind === 'group'
  if (isSomebody !== (caller.person !== null)) throw new Error(`uid ${peer.uid} is somebody else: ${caller.because}`)
  const ofKind = taken[kind] ?? []
  ofKind.push(us)
  taken[kind] = ofKind
  socket.end()
})

const questionSchema = z.object({ kind: z.enum(['listen', 'take']) })

answerQuestions(async (question) => {
  const { kind } = questionSchema.parse(question)
  if (kind === 'take') {
    const answer = taken
    taken = {}
    return answer
  }
  const socket = join(directory, 's')
  server.listen({ path: socket, readableAll: true, writableAll: true })
  await once(server, 'listening')
  return { socket }
})
