// Everything that the service can be asked, asked by somebody who may do nothing, and what the answers say.

import { randomUUID } from 'node:crypto'
import { routes, streams } from '@teleclaude/api/http/routes.ts'
import { whoamiSchema } from '@teleclaude/core/api.ts'
import type { Action } from '@teleclaude/core/policy.ts'
import { type Finding, fail, ok } from '../finding.ts'
import { systemMends } from '../system.ts'
import type { Probe, ProbeAnswer } from './attempts.ts'

export type Asked = {
  readonly probe: Probe
  readonly kind: 'routes' | 'streams'
  /** Nobody is answered, too. Not taken from the policy: whether that is as it should be is what is looked at. */
  readonly isOpen: boolean
  /** The position of the same request about a session that nobody has; null for others. */
  readonly twin: number | null
}

const openActions: readonly Action[] = ['health.read', 'whoami.read']
/** No body that the service takes has this key, and none may have one that it does not know. */
const unfitBody = '{"doctor":"isolation"}'

/** @param sessionId of somebody's session, where one is known */
export function listRequests(sessionId: string | null): readonly Asked[] {
  const about = (id: string): Asked[] => {
    const fill = (path: string) => path.replace(':id', id).replace(':person', 'root')
    return [
      ...routes.map(({ method, path, action }): Asked => {
        const body = method === 'get' ? null : unfitBody
        const probe = { method: method.toUpperCase(), path: fill(path), body, protocol: null }
        return { probe, kind: 'routes', isOpen: openActions.includes(action), twin: null }
      }),
      ...streams.map(({ path, protocol }): Asked => {
        const probe = { method: 'GET', path: fill(path), body: null, protocol }
        return { probe, kind: 'streams', isOpen: false, twin: null }
      }),
    ]
  }
  const nobodys = about(randomUUID())
  if (sessionId === null) return nobodys
  const somebodys = about(sessionId).flatMap((asked, index) =>
    asked.probe.path.includes(sessionId) ? [{ ...asked, twin: index }] : [],
  )
  return [...nobodys, ...somebodys]
}

const stop =
  'docker compose stop api  # in the checkout of the appliance; of a systemd service: sudo systemctl stop teleclaude; sessions go on'

/** @param answers to `requests`, in their order */
export function judgeAnswers(
  uid: number,
  whoami: ProbeAnswer,
  requests: readonly Asked[],
  answers: readonly ProbeAnswer[],
): readonly Finding[] {
  if ('failure' in whoami && (whoami.failure === 'EACCES' || whoami.failure === 'EPERM'))
    return [ok('routes', `uid ${uid} can not even connect to the socket`)]
  // In single-user mode nobody else is told anything.
  const isServed = !isRefusal(whoami)
  const asked = requests.map((request, index) => ({
    ...request,
    isOpen: request.isOpen && isServed,
    answer: answers[index] ?? { failure: 'it was not asked' },
  }))
  return [
    isServed ? judgeCaller(uid, whoami) : ok('caller', `the service refuses uid ${uid} altogether`),
    ...judgeKind(uid, 'routes', asked),
    ...judgeKind(uid, 'streams', asked),
    ...judgeTwins(asked),
  ]
}

type Answered = Asked & { readonly answer: ProbeAnswer }

function judgeCaller(uid: number, whoami: ProbeAnswer): Finding {
  const check = 'caller'
  if (!('status' in whoami) || whoami.status !== 200)
    return fail(check, `the service does not say who uid ${uid} is: ${describe(whoami)}`, systemMends.log)
  const who = whoamiSchema.safeParse(parseJson(whoami.body)).data
  if (who === undefined) return fail(check, 'the service is of another version, or no TeleClaude', systemMends.update)
  if (who.person === null && who.role === 'public')
    return ok(check, `uid ${uid} is nobody to the service: ${who.because}`)
  const what = `DANGER: uid ${uid}, which has no account, is ${who.person}, ${who.role} (${who.because})`
  return fail(check, what, 'take that rule out of the configuration of the service, then: telec config reload')
}

function judgeKind(uid: number, kind: Asked['kind'], all: readonly Answered[]): readonly Finding[] {
  const asked = all.filter((each) => each.kind === kind)
  const faults = asked.flatMap((each) => findFault(uid, each) ?? [])
  if (faults.length > 0) return faults
  const open = asked.filter(({ isOpen }) => isOpen).length
  const rest = open === 0 ? '' : `; the other ${open} are about health and whoami`
  const noun = kind === 'streams' ? 'WebSockets' : 'requests'
  return [ok(kind, `uid ${uid} is refused ${asked.length - open} of ${asked.length} ${noun}${rest}`)]
}

function findFault(uid: number, { kind, probe, isOpen, answer }: Answered): Finding | null {
  const name = `${probe.method} ${probe.path}`
  if (isRefusal(answer)) {
    if (!isOpen) return null
    return fail(kind, `${name} is refused, which is for everybody: ${describe(answer)}`, systemMends.log)
  }
  if (!('status' in answer)) return fail(kind, `${name} was not answered: ${describe(answer)}`, systemMends.log)
  if (isOpen && (answer.status === 200 || answer.status === 503)) return null
  if (answer.status >= 500 || answer.status === 429)
    return fail(kind, `${name} was not refused, but failed: ${describe(answer)}`, systemMends.log)
  return fail(kind, `DANGER: ${name} lets uid ${uid} in: ${describe(answer)}`, stop)
}

/** A path that the service does not have (it may be older) is closed as well. */
function isRefusal(answer: ProbeAnswer): boolean {
  return 'status' in answer && [401, 403, 404, 405].includes(answer.status)
}

function judgeTwins(all: readonly Answered[]): readonly Finding[] {
  const check = 'existence'
  const pairs = all.flatMap(({ twin, ...each }) => (twin === null ? [] : [{ ...each, other: all[twin]?.answer }]))
  if (pairs.length === 0) return [ok(check, 'no session is known here whose id could be tried')]
  const different = pairs.find(({ answer, other }) => JSON.stringify(answer) !== JSON.stringify(other))
  if (different === undefined)
    return [
      ok(
        check,
        'requests about a session that is there are answered like those about one that nobody has, word for word',
      ),
    ]
  const { probe, answer, other } = different
  const what = `DANGER: ${probe.method} ${probe.path} tells whether there is such a session: ${describe(answer)}, and for one that nobody has ${describe(other)}`
  return [fail(check, what, stop)]
}

function describe(answer: ProbeAnswer | undefined): string {
  if (answer === undefined) return 'no answer'
  if ('failure' in answer) return answer.failure
  const problem = parseJson(answer.body)
  const hasDetail = typeof problem === 'object' && problem !== null && 'detail' in problem
  return hasDetail ? `${answer.status}, ${String(problem.detail)}` : `status ${answer.status}`
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
