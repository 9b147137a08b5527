// Every route and stream of the table, asked by every kind of caller about what is theirs, what is not, and what is not there: over
// real connections of real uids, on both engines. A route that is added without a word here fails.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { AccessGrant } from '@teleclaude/core/access.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { type Action, actions } from '@teleclaude/core/policy.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import type { StoreTarget } from '@teleclaude/store/contract.ts'
import { migrate, openStore } from '@teleclaude/store/open.ts'
import { engineNames, newSession } from '../../../packages/store/test-engines.ts'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres-server.ts'
import { askAll, generousLimits, makeServicePlace, openDoorway, type Place, Service, service } from '../test-service.ts'
import { fill, type Line, lines } from './test-lines.ts'
import { statusOf, timeless, writeRequest, writeUpgrade } from './test-requests.ts'

/** `no`: 403 and why. `none`: 404, as for what is not there. */
type Verdict = 'yes' | 'no' | 'none'
type Expectation = {
  /** Who is nobody, about whatever it is. */
  readonly nobody: Verdict
  /** Anybody about what is theirs; for who is nobody, that is the name of their account. */
  readonly own?: Verdict
  /** About the service, or about what is somebody else's. */
  readonly known: Verdict
  readonly admin: Verdict
  /** An admin who has opened it to look, and one who has opened it to drive; as any admin where it is left out. */
  readonly looking?: Verdict
  readonly driving?: Verdict
}

const expected: Readonly<Record<Action, Expectation>> = {
  'health.read': { nobody: 'yes', known: 'yes', admin: 'yes' },
  'whoami.read': { nobody: 'yes', known: 'yes', admin: 'yes' },
  'safeguards.read': { nobody: 'no', known: 'yes', admin: 'yes' },
  'config.read': { nobody: 'no', known: 'no', admin: 'yes' },
  'config.reload': { nobody: 'no', known: 'no', admin: 'yes' },
  'people.read': { nobody: 'no', known: 'no', admin: 'yes' },
  'people.rebind': { nobody: 'no', known: 'no', admin: 'yes' },
  'policy.explain': { nobody: 'no', own: 'yes', known: 'no', admin: 'yes' },
  'session.create': { nobody: 'no', known: 'yes', admin: 'yes' },
  'session.list': { nobody: 'no', known: 'yes', admin: 'yes' },
  'events.read': { nobody: 'no', known: 'yes', admin: 'yes' },
  'session.read': { nobody: 'no', own: 'yes', known: 'none', admin: 'yes' },
  'session.stop': { nobody: 'no', own: 'yes', known: 'none', admin: 'yes' },
  'session.rename': { nobody: 'no', own: 'yes', known: 'none', admin: 'yes' },
  'session.send': { nobody: 'no', own: 'yes', known: 'none', admin: 'no', driving: 'yes' },
  'session.report': { nobody: 'no', own: 'yes', known: 'none', admin: 'no' },
  'transcript.read': { nobody: 'no', own: 'yes', known: 'none', admin: 'no', looking: 'yes', driving: 'yes' },
  'session.attach': { nobody: 'no', own: 'yes', known: 'none', admin: 'no', looking: 'yes', driving: 'yes' },
  'session.drive': { nobody: 'no', own: 'yes', known: 'none', admin: 'no', driving: 'yes' },
  'runner.connect': { nobody: 'no', own: 'yes', known: 'none', admin: 'no' },
  'access.open': { nobody: 'no', known: 'no', admin: 'yes' },
  'access.list': { nobody: 'no', known: 'yes', admin: 'yes' },
  'access.end': { nobody: 'no', known: 'no', admin: 'yes' },
  'notices.read': { nobody: 'no', known: 'yes', admin: 'yes' },
  'audit.read': { nobody: 'no', known: 'yes', admin: 'yes' },
  'audit.prove': { nobody: 'no', known: 'yes', admin: 'yes' },
  'audit.export': { nobody: 'no', known: 'no', admin: 'yes' },
  'audit.acknowledge': { nobody: 'no', known: 'no', admin: 'yes' },
  'audit.rotate': { nobody: 'no', known: 'no', admin: 'yes' },
  'metrics.read': { nobody: 'no', known: 'no', admin: 'yes' },
}

type Kind = 'nobody' | 'known' | 'admin' | 'looking' | 'driving'
type Row = { readonly name: string; readonly uid: number; readonly kind: Kind }
/** By the name that is theirs: the person's, or else the account's. Those that are nobody are called like persons who were. */
const rows = [
  { name: 'nora', uid: 54_011, kind: 'known' },
  { name: 'carl', uid: 54_012, kind: 'known' },
  { name: 'mia', uid: 54_013, kind: 'known' },
  { name: 'ada', uid: 54_014, kind: 'admin' },
  { name: 'lou', uid: 54_015, kind: 'looking' },
  { name: 'dan', uid: 54_016, kind: 'driving' },
  { name: 'daemon', uid: 1, kind: 'nobody' },
  { name: 'root', uid: 0, kind: 'nobody' },
] as const satisfies readonly Row[]
const [newcomer, , , admin] = rows
/** A uid without an account, which has no name that could be theirs. */
const stranger: Row = { name: '', uid: 54_003, kind: 'nobody' }
/** Everybody without a uid here (user_namespaces(7)). */
const overflowUid = 65_534

const config = `people:
  - { name: nora, role: newcomer, os_uid: 54011 }
  - { name: carl, role: contributor, os_uid: 54012 }
  - { name: mia, role: member, os_uid: 54013 }
  - { name: ada, role: admin, os_uid: 54014 }
  - { name: lou, role: admin, os_uid: 54015 }
  - { name: dan, role: admin, os_uid: 54016 }
${generousLimits}`

const unknownId = '00000000-0000-4000-8000-000000000000'
const noIds = [unknownId, 'x', '%00', '..%2f..%2fv1%2fwhoami', `${unknownId}0`, '*', 'a'.repeat(3000)]
/** What a name that is missing can become on its way, and a uid. */
const noNames = ['null', 'undefined', '54003']

/** What can stand in a path, and whose that is to the one who asks. */
type Subject = { readonly is: 'own' | 'other' | 'nothing'; readonly text: string }

type Question = {
  readonly line: Line
  readonly subject: Subject | null
  readonly request: string
  readonly verdict: Verdict
}

function percentEncoded(text: string): string {
  return [...text].map((character) => `%${(character.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`).join('')
}

/** One of each spelling of each: a session, or a name, of everybody who has one, and what is nobody's. */
function subjectsFor(line: Line, row: Row, ids: ReadonlyMap<string, string>): readonly (Subject | null)[] {
  const of = (text: string, owner: string): Subject => ({ is: owner === row.name ? 'own' : 'other', text })
  if (line.on === 'service') return [null]
  const nothing = (texts: readonly string[]) => texts.map((text): Subject => ({ is: 'nothing', text }))
  if (line.on === 'person') {
    const names = rows.map(({ name }) => name)
    return [
      ...names.map((name) => of(name, name)),
      ...names.map((name) => of(percentEncoded(name), name)),
      ...nothing(noNames),
    ]
  }
  const theirs = [...ids].map(([owner, id]) => of(id, owner))
  const upper = [...ids].map(([owner, id]) => of(id.toUpperCase(), owner))
  // Only Express decodes a path: a WebSocket is asked for by its plain id.
  const encoded = line.success === 101 ? [] : [...ids].map(([owner, id]) => of(percentEncoded(id), owner))
  return [...theirs, ...upper, ...encoded, ...nothing(noIds)]
}

function verdictFor({ action, on }: Line, { kind }: Row, subject: Subject | null): Verdict {
  const { own = 'no', admin, looking = admin, driving = admin, ...others } = expected[action]
  const verdicts = { ...others, admin, looking, driving }
  if (subject?.is === 'own' && (on === 'person' || kind !== 'nobody')) return own
  const verdict = verdicts[kind]
  // Who may ask about others is told that there is nobody of that name; who may have sessions, that none has that id.
  const isTold = on === 'person' ? verdict === 'yes' : kind !== 'nobody'
  return subject?.is === 'nothing' && isTold ? 'none' : verdict
}

function questionsFor(row: Row, ids: ReadonlyMap<string, string>): readonly Question[] {
  return lines.flatMap((line) =>
    subjectsFor(line, row, ids).map((subject) => ({
      line,
      subject,
      request: line.ask(fill(line, subject?.text ?? '')),
      verdict: verdictFor(line, row, subject),
    })),
  )
}

/** Of those who have opened what is the others': all of it. */
function grantsFor(ids: ReadonlyMap<string, string>): readonly Omit<AccessGrant, 'ended'>[] {
  const holders = rows.filter(({ kind }) => kind === 'looking' || kind === 'driving')
  return holders.flatMap(({ name, uid, kind }) =>
    [...ids]
      .filter(([owner]) => owner !== name)
      .map(([owner, sessionId]) => ({
        id: crypto.randomUUID(),
        host: 'h',
        sessionId: sessionId as SessionId,
        owner,
        grantee: { person: name, uid },
        reason: 'to see',
        drive: kind === 'driving',
        openedAtUs: nowUs(),
        expiresAtUs: nowUs() + 3_600_000_000,
      })),
  )
}

/** The same path, or what somebody may take for it, written in other ways. */
const disguises: readonly ((path: string) => string)[] = [
  (path) => `${path}/`,
  (path) => `/${path}`,
  (path) => `//x${path}`,
  (path) => `/.${path}`,
  (path) => `/x/..${path}`,
  (path) => `/x/%2e%2e${path}`,
  (path) => path.replaceAll('/', '//'),
  (path) => path.replaceAll('/', '\\'),
  (path) => path.replaceAll('/', '%2f'),
  (path) => path.replace(/^\/[a-z]/, (start) => `/${percentEncoded(start.slice(1))}`),
  (path) => path.replace(/^\/v1\/\w+/, (start) => start.toUpperCase()),
  (path) => `http://localhost${path}`,
  (path) => `http://somebody@elsewhere:99${path}`,
  (path) => `${path}?`,
  (path) => `${path}#fragment`,
  (path) => `${path}%00`,
  (path) => `${path}%ff`,
  (path) => `${path};a=b`,
  (path) => `${path}%2f`,
  (path) => `${path}/..`,
  (path) => `${path}/../${path.split('/').at(-1)}`,
  (path) => `${path}?_method=GET&role=admin&uid=54014&person=ada`,
  (path) => path.slice(1),
  () => '*',
  () => '/',
  () => '//[',
]
const methods = [
  'OPTIONS',
  'PUT',
  'PATCH',
  'DELETE',
  'TRACE',
  'PROPFIND',
  'QUERY',
  'HEAD',
  'GET',
  'POST',
  'BREW',
  'get',
]

/** System mode as it is, but on SQLite. */
const serveOnSqlite = (place: Place, file: string) => (directory: string) =>
  `
  const load = (path) => import(${JSON.stringify(`${directory}/`)} + path)
  const [{ loadSystemConfig }, { acquireInstanceLock, openStore }] = await Promise.all([
    load('../../packages/config/load.ts'), load('../../packages/store/open.ts'),
  ])
  const [{ RunningConfig }, { Accounts }, { systemIdentity }, { createLog }, { startServing, stopSignal }] = await Promise.all([
    load('configuration/running-config.ts'), load('identity/accounts.ts'), load('identity/system.ts'), load('log.ts'), load('serve.ts'),
  ])
  const files = ${JSON.stringify({ configFile: place.configFile, secretsFile: '/nowhere/secrets.yml', envFile: '/nowhere/.env' })}
  const loadConfig = () => loadSystemConfig({ ...files, env: process.env })
  const loaded = loadConfig()
  const { host } = loaded.config
  const log = createLog(loaded.config)
  const config = new RunningConfig({ mode: 'system', files, load: loadConfig }, loaded, log)
  const target = { engine: 'sqlite', file: ${JSON.stringify(file)} }
  const lock = await acquireInstanceLock(target, { host, pid: process.pid, program: 'test' })
  const store = await openStore(target, { lock })
  const accounts = await Accounts.load({ store, host })
  const stopped = stopSignal()
  const serving = await startServing({
    mode: 'system', store, identity: systemIdentity(() => config.current.people, accounts), accounts, host, config, log,
    socket: { path: ${JSON.stringify(place.socket)}, mode: 0o666 },
    auditKey: { keyFile: ${JSON.stringify(place.auditKey)}, replaceLost: false },
  })
  await stopped
  await serving.stop()
  await store.close()
  await lock.release()
  process.exit(0)`

test('the expectations are those of the table: every action is asked for by a route or a stream', () => {
  assert.deepEqual([...new Set(lines.map(({ action }) => action))].toSorted(), [...actions].toSorted())
  for (const { label, on, action } of lines) assert.equal(expected[action].own !== undefined, on !== 'service', label)
})

if (process.getuid?.() === 0) {
  describe('over the socket', { timeout: 120_000, concurrency: true }, () => {
    let postgres: TestPostgres
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
    })
    after(() => postgres.stop())

    /** A service, and a session of everybody who has a name, by that. */
    async function serve(t: TestContext, engine: StoreTarget['engine']) {
      const place = await makeServicePlace(t, postgres, { migrated: engine === 'postgres' })
      writeFileSync(place.configFile, config)
      const data = join(place.directory, 'data')
      mkdirSync(data)
      const file = join(data, 'teleclaude.db')
      const target: StoreTarget = engine === 'sqlite' ? { engine, file } : { engine, url: place.url }
      if (engine === 'sqlite') await migrate(target)
      const store = await openStore(target)
      const ids = new Map<string, string>()
      for (const { name, uid } of rows) {
        const owner = { person: name, uid, osUser: name }
        const { id } = await store.sessions.create(newSession({ host: 'h', owner }))
        ids.set(name, id)
      }
      for (const grant of grantsFor(ids)) await store.access.open(grant, crypto.randomUUID())
      await store.close()
      execFileSync('chown', ['-R', `${service.uid}:${service.gid}`, data])
      const serving = new Service(place, {
        wait: false,
        ...(engine === 'sqlite' ? { script: serveOnSqlite(place, file) } : {}),
      })
      t.after(() => serving.stop())
      await serving.says(/^ready$/)
      const ask = (row: Row, requests: readonly string[]) => askAll(place.socket, row.uid, requests)
      return { serving, target, ids, ask }
    }

    for (const engine of engineNames) {
      test(`on ${engine}`, async (t) => {
        const { serving, target, ids, ask } = await serve(t, engine)
        const idOf = (row: Row) => ids.get(row.name) ?? assert.fail(`${row.name} has no session`)

        await t.test(
          'everybody gets what the design says, and what is not theirs is as what is not there',
          async () => {
            const asked = [...rows, stranger].map(async (row) => {
              const questions = questionsFor(row, ids)
              const replies = await ask(
                row,
                questions.map(({ request }) => request),
              )
              const refusals = new Map<string, Set<string>>()
              for (const [index, { line, subject, verdict }] of questions.entries()) {
                const reply = replies[index] ?? ''
                const status = { yes: line.success, no: 403, none: 404 }[verdict]
                const what = `${row.name || row.uid}: ${line.label} ${JSON.stringify(subject)}`
                assert.equal(statusOf(reply), status, `${what}: ${reply}`)
                if (verdict === 'yes' || (verdict === 'none' && line.on === 'person')) continue
                const alike = `${row.name || row.uid} ${line.label} ${verdict}`
                refusals.set(alike, (refusals.get(alike) ?? new Set()).add(timeless(reply)))
              }
              for (const [alike, different] of refusals)
                assert.equal(different.size, 1, `${alike}: ${[...different].join('\n')}`)
            })
            await Promise.all(asked)
          },
        )

        await t.test('of whom the kernel has no uid nothing is answered, on whatever path', async () => {
          const paths = ['/v1/elsewhere', '/v1/whoami', '/v1/sessions/%ff', '*']
          const requests = [
            ...lines.map((line) => line.ask(fill(line, idOf(admin)))),
            ...paths.flatMap((path) => ['GET', 'OPTIONS', 'DELETE'].map((method) => writeRequest(method, path))),
            writeUpgrade('/v1/elsewhere', 'x'),
          ]
          const replies = await ask({ name: '', uid: overflowUid, kind: 'nobody' }, requests)
          for (const [index, reply] of replies.entries())
            assert.equal(statusOf(reply), 403, `${requests[index]}\n${reply}`)
        })

        await t.test('no other method does anything, or tells what is there', async () => {
          const others = [...new Set(lines.map(({ path }) => path))].flatMap((path) =>
            methods
              .filter(
                (method) => !lines.some((line) => line.path === path && line.method === method && line.success !== 101),
              )
              .map((method) => ({ method, path })),
          )
          const asked = [newcomer, admin, stranger].map(async (row) => {
            const theirs = idOf(row === admin ? newcomer : admin)
            const about = (id: string) =>
              ask(
                row,
                others.map(({ method, path }) => writeRequest(method, fill({ path }, id))),
              )
            const [replies, unknown] = await Promise.all([about(theirs), about(unknownId)])
            for (const [index, reply] of replies.entries()) {
              const what = `${row.name || row.uid}: ${JSON.stringify(others[index])}`
              assert.ok([400, 404, 405].includes(statusOf(reply)), `${what}: ${reply}`)
              assert.equal(timeless(reply), timeless(unknown[index] ?? ''), what)
            }
          })
          await Promise.all(asked)
        })

        await t.test('no other way to write a path leads around the gate, or tells what is there', async () => {
          const asked = [newcomer, stranger].map(async (row) => {
            const closed = lines.filter((line) => verdictFor(line, row, { is: 'other', text: '' }) !== 'yes')
            const about = (text: (line: Line) => string) => {
              const requests = closed.flatMap((line) =>
                disguises.map((disguise) => line.ask(disguise(fill(line, text(line))))),
              )
              return ask(row, requests).then((replies) => ({ requests, replies }))
            }
            const [others, nobodys] = await Promise.all([
              about(({ on }) => (on === 'person' ? admin.name : idOf(admin))),
              about(({ on }) => (on === 'person' ? 'nobody' : unknownId)),
            ])
            for (const [index, reply] of others.replies.entries()) {
              const what = `${row.name || row.uid}: ${others.requests[index]}\n${reply}`
              assert.ok(statusOf(reply) >= 400 && statusOf(reply) < 500, what)
              assert.equal(timeless(reply), timeless(nobodys.replies[index] ?? ''), what)
            }
          })
          await Promise.all(asked)
        })

        await t.test('and nothing came of all that but what each may do, nor did anything fail', async () => {
          assert.doesNotMatch(serving.log, /"level":[56]0/)
          assert.equal(serving.stderr, '')
          const store = await openStore(target)
          t.after(() => store.close())
          const admins = new Set<string>(
            rows.filter(({ kind }) => kind !== 'nobody' && kind !== 'known').map(({ name }) => name),
          )
          const known = new Set<string>(rows.filter(({ kind }) => kind !== 'nobody').map(({ name }) => name))
          for (const session of await store.sessions.list({ scope: { kind: 'all' }, limit: 1000 })) {
            const { person } = session.owner
            if (ids.get(person) !== session.id) assert.ok(known.has(person), person)
            for (const { requestedBy } of await store.commands.list(session.id, 1000))
              assert.ok(
                admins.has(requestedBy) || (requestedBy === person && known.has(person)),
                `${requestedBy}: ${person}`,
              )
          }
        })
      })
    }
  })
}
