// Connects again and again, each time as another user: `connector.ts SOCKET`. The kernel notes who connects at connect(2).

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { z } from 'zod'
import { newUsers, type User, users } from './callers.ts'
import { answerQuestions } from './questions.ts'

const [socketPath = ''] = process.argv.slice(2)
const isRoot = process.getuid?.() === 0
let newUid = newUsers.first

function connectAs({ uid, gid, groups }: User): Socket {
  if (!isRoot) return connect(socketPath)
  process.setgroups?.([...groups])
  process.setegid?.(gid)
  process.seteuid?.(uid)
  // Node connects to a path at once, before this returns.
  const socket = connect(socketPath)
  process.seteuid?.(0)
  process.setegid?.(0)
  return socket
}

async function callAs(user: User): Promise<void> {
  const socket = connectAs(user)
  socket.resume()
  await once(socket, 'close')
}

function nextNewUser(): User {
  const uid = newUid
  newUid += 1
  if (uid > newUsers.last) throw new RangeError('there are no new users left')
  return { kind: 'new', uid, gid: uid, groups: [] }
}

answerQuestions(async (question) => {
  const { times } = z.object({ times: z.int() }).parse(question)
  for (let time = 0; time < times; time++) {
    for (const user of users) await callAs(user)
    if (isRoot) await callAs(nextNewUser())
  }
  return null
})
