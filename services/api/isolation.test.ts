// Two people with sessions of their own, and admins: what each gets to see, byte for byte, by any route, filter, stream or error.
// One file: all of it is asked of the same people and sessions.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { accessGrantPageSchema, accessGrantViewSchema, noticePageSchema } from '@teleclaude/core/access-api.ts'
import { permissionSchema, sessionPageSchema, sessionViewSchema } from '@teleclaude/core/api.ts'
import type { AuditEntry } from '@teleclaude/core/audit.ts'
import { actions, sessionActions } from '@teleclaude/core/policy.ts'
import { runnerProtocol, viewerProtocol } from '@teleclaude/core/protocol.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { newSession } from '../../packages/store/test-engines.ts'
import { openCheckout } from '../../test/support/open-checkout.ts'
import { startPostgres, type TestPostgres } from '../../test/support/postgres-server.ts'
import { bodyOf, statusOf, timeless, writeRequest, writeUpgrade } from './http/test-requests.ts'
import { askAll, generousLimits, makeServicePlace, openDoorway, type Place, Service } from './test-service.ts'

const alice = { name: 'alice', uid: 54_021 }
const bob = { name: 'bob', uid: 54_022 }
const carol = { name: 'carol', uid: 54_023 }
/** An admin who has opened a session of each of the two. */
const dave = { name: 'dave', uid: 54_024 }
type Person = typeof alice
/** An account of the machine that is nobody's. */
const daemon = { name: 'daemon', uid: 1 }

const config = `people:
  - { name: alice, role: member, os_uid: 54021 }
  - { name: bob, role: member, os_uid: 54022 }
  - { name: carol, role: admin, os_uid: 54023 }
  - { name: dave, role: admin, os_uid: 54024 }
${generousLimits}`

/** What stands in a session of that person, and in no other place. */
const marksOf = ({ name }: Person) => ({
  project: `/srv/${name}-project`,
  title: `${name}-title`,
  argument: `${name}-argument`,
  output: `${name}-output`,
})

/** Nobody's. */
const unknownId = '00000000-0000-4000-8000-000000000000' as SessionId
const endedAtUs = 1_700_000_000_000_009

/** A session with output and commands, going on or not. */
async function putSession(store: Store, person: Person, options: { readonly ended: boolean }): Promise<SessionId> {
  const { project, title, argument, output } = marksOf(person)
  const owner = { person: person.name, uid: person.uid, osUser: person.name }
  const { id } = await store.sessions.create(
    newSession({ host: 'h', owner, project, title, argv: ['sh', '-c', argument] }),
  )
  if (!options.ended) return id
  const chunk = { seq: 1, kind: 'output', offsetUs: 1, bytes: Buffer.from(output) } as const
  await store.transcripts.append([{ sessionId: id, chunks: [chunk], atUs: endedAtUs }])
  for (const force of [false, true]) {
    const times = { createdAtUs: endedAtUs, expiresAtUs: endedAtUs + 1 }
    await store.commands.enqueue({
      sessionId: id,
      request: { kind: 'stop', force },
      requestedBy: person.name,
      ...times,
    })
  }
  await store.sessions.end(id, { kind: 'exited', code: 7 }, endedAtUs)
  return id
}

/** A runner of that session and a terminal that drives it, as that user; `heard` is what the service tells them, by line. */
class LiveSession {
  readonly child: ChildProcess
  readonly heard: string[] = []
  readonly #lines: NodeJS.EventEmitter

  constructor(place: Place, { uid }: Person, id: string, output: string) {
    const { node, telec } = openCheckout()
    const packages = join(dirname(telec), '../..')
    const script = `
      const { Client } = await import(${JSON.stringify(join(packages, 'client/client.ts'))})
      const { encodeChunk } = await import(${JSON.stringify(join(packages, 'core/transcript.ts'))})
      const [socketPath, id, output] = process.argv.slice(1)
      const client = new Client(socketPath)
      for (const [kind, protocol] of [['runner', '${runnerProtocol}'], ['attach', '${viewerProtocol}']]) {
        const socket = await client.openStream('/v1/sessions/' + id + '/' + kind, protocol, kind === 'attach' ? { drive: 'true' } : {})
        socket.on('message', (data) => console.log(kind + ' ' + JSON.stringify(data.toString('latin1'))))
        socket.on('close', () => console.log(kind + ' closed'))
        socket.resume()
        if (kind === 'runner') socket.send(encodeChunk({ seq: 1, kind: 'output', offsetUs: 1, bytes: Buffer.from(output) }))
      }`
    this.child = spawn(node, ['--input-type=module', '-e', script, '--', place.socket, id, output], {
      ...{ uid, gid: uid, cwd: '/' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (this.child.stdout === null) throw new TypeError('it has no output')
    this.#lines = createInterface({ input: this.child.stdout })
    this.#lines.on('line', (line: string) => this.heard.push(line))
  }

  async hears(pattern: RegExp): Promise<void> {
    while (!this.heard.some((line) => pattern.test(line))) await once(this.#lines, 'line')
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit')
    this.child.kill()
    await ended
  }
}

if (process.getuid?.() === 0) {
  describe('of two people with sessions', { timeout: 120_000 }, () => {
    let postgres: TestPostgres
    let place: Place
    let store: Store
    let live: LiveSession
    /** In the order of creation, each after one of alice's. */
    const theirs: SessionId[] = []
    const own: SessionId[] = []
    /** What dave has opened: of alice's, and of bob's. */
    const opened: string[] = []
    const cleanUp: (() => unknown)[] = []

    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
      place = await makeServicePlace({ after: (end) => void cleanUp.unshift(end) }, postgres, { migrated: true })
      writeFileSync(place.configFile, config)
      store = await openStore({ engine: 'postgres', url: place.url })
      cleanUp.unshift(() => store.close())
      for (let count = 0; count < 3; count++) {
        theirs.push(await putSession(store, alice, { ended: true }))
        own.push(await putSession(store, bob, { ended: true }))
      }
      const going = await putSession(store, alice, { ended: false })
      const serving = new Service(place, { wait: false })
      cleanUp.unshift(() => serving.stop())
      await serving.says(/^ready$/)
      live = new LiveSession(place, alice, going, marksOf(alice).output)
      cleanUp.unshift(() => live.stop())
      await live.hears(/^runner .*ack/)
      await live.hears(/^attach .*-output/)
      theirs.push(going)
      const openings = [theirs[0], own[0]].map((session) =>
        writeRequest('POST', '/v1/access-grants', { session, reason: `dave-reason ${session}` }),
      )
      for (const reply of await askAs(dave, openings)) {
        assert.equal(statusOf(reply), 201, reply)
        opened.push(accessGrantViewSchema.parse(JSON.parse(bodyOf(reply))).id)
      }
    })
    after(async () => {
      for (const end of cleanUp) await end()
      await postgres.stop()
    })

    const askAs = ({ uid }: Person, requests: readonly string[]) => askAll(place.socket, uid, requests)
    const get = (path: string) => writeRequest('GET', path)

    /** Everything that can be asked with the id of a session in it. */
    function about(id: string, asking: Person): readonly string[] {
      const session = `/v1/sessions/${id}`
      const permission = `/v1/people/${asking.name}/permission?session=${id}&action=`
      return [
        ...['', '/commands', '/transcript', '/runner', '/attach'].map((rest) => get(session + rest)),
        ...['raw', 'cast', 'text&colour=true'].map((format) => get(`${session}/transcript?format=${format}`)),
        ...[true, false].map((force) => writeRequest('POST', `${session}/commands`, { kind: 'stop', force })),
        writeRequest('POST', `${session}/commands`, { kind: 'unheard of' }),
        writeUpgrade(`${session}/runner`, runnerProtocol),
        writeUpgrade(`${session}/attach`, viewerProtocol),
        writeUpgrade(`${session}/attach?afterSeq=end`, viewerProtocol),
        writeUpgrade(`${session}/attach?drive=true`, viewerProtocol),
        writeUpgrade(`${session}/attach`, 'teleclaude.viewer.v0'),
        ...[36, 35, 13, 8].map((length) => get(`/v1/sessions?idPrefix=${id.slice(0, length)}`)),
        get(`/v1/sessions?idPrefix=${id.toUpperCase()}`),
        ...['', '&limit=1', '&status=ended', '&status=live', '&person=alice'].map((rest) =>
          get(`/v1/sessions?cursor=${id}${rest}`),
        ),
        ...actions.map((action) => get(permission + action)),
        get(`/v1/people/alice/permission?session=${id}&action=session.read`),
        get(`/v1/whoami?session=${id}`),
        writeRequest('POST', '/v1/people/rebind', { account: id }),
        writeRequest('POST', '/v1/sessions', { id }),
        ...['', '&active=true', '&limit=1'].map((rest) => get(`/v1/access-grants?session=${id}${rest}`)),
        // Without a reason: who may is told that it is missing.
        writeRequest('POST', '/v1/access-grants', { session: id }),
      ]
    }

    /** What a caller sent themselves may come back, in `session` of a permission: nothing else of it. */
    const withoutEcho = (reply: string) => reply.replace(/"session":"[0-9a-f-]{36}"/, '"session":"it"')

    test('neither finds, counts, attaches to, sends to, stops or infers what is of the other', async () => {
      const got: string[] = []
      for (const asking of [bob, daemon]) {
        const unknown = await askAs(asking, about(unknownId, asking))
        got.push(...unknown)
        for (const id of theirs) {
          const requests = about(id, asking)
          const replies = await askAs(asking, requests)
          for (const [index, reply] of replies.entries()) {
            assert.equal(
              withoutEcho(timeless(reply)),
              withoutEcho(timeless(unknown[index] ?? '')),
              requests[index] ?? '',
            )
            // A page without anything on it, or a permission that says no.
            if (statusOf(reply) === 200) assert.match(bodyOf(reply), /"sessions":\[\]|"grants":\[\]|"allow":false/)
          }
          got.push(...replies.map(withoutEcho))
        }
      }

      const pairs = [
        ['/v1/sessions?project=%2Fsrv%2Falice-project', '/v1/sessions?project=%2Fnone'],
        ['/v1/sessions?person=alice', '/v1/sessions?person=none'],
        ['/v1/sessions?person=alice&status=live', '/v1/sessions?person=none&status=live'],
        ['/v1/people/alice/permission?action=session.list', '/v1/people/none/permission?action=session.list'],
        ['/v1/people/carol/permission?action=session.list', '/v1/people/none/permission?action=session.list'],
      ] as const
      const [real, none] = await Promise.all(
        [0, 1].map((side) =>
          askAs(
            bob,
            pairs.map((pair) => get(pair[side] ?? '')),
          ),
        ),
      )
      assert.deepEqual(real?.map(timeless), none?.map(timeless))

      const others = [
        ...[
          '/healthz',
          '/readyz',
          '/metrics',
          '/v1/whoami',
          '/v1/whoami?explain=1',
          '/v1/safeguards',
          '/v1/openapi.json',
        ],
        ...['/v1/people', '/v1/config', '/v1/audit', '/v1/events', '/v1/notices', '/v1/access-grants', '/v1/sessions'],
        ...[
          'limit=3',
          'limit=200',
          'status=live',
          'status=running',
          'person=bob',
          `cursor=${own[0]}`,
          `cursor=${own[2]}`,
        ].map((query) => `/v1/sessions?${query}`),
      ]
      got.push(...(real ?? []), ...(await askAs(bob, others.map(get))))
      for (const id of own) {
        // Its attach would be let in, and is read by nobody here.
        got.push(
          ...(await askAs(
            bob,
            about(id, bob).filter((request) => !request.includes('Upgrade')),
          )),
        )
      }
      const all = got.join('\n')
      for (const text of [...theirs, ...theirs.map((id) => id.slice(0, 8)), 'alice', String(alice.uid)])
        assert.ok(!all.toLowerCase().includes(text), `somewhere in what they got there is ${text}`)
      assert.ok(all.includes('bob-title') && all.includes('bob-argument') && all.includes('bob-output'))
    })

    test('a listing has what is one’s own, and its pages end where that does', async () => {
      const newestFirst = own.toReversed()
      const pages = await askAs(bob, [
        get('/v1/sessions'),
        get('/v1/sessions?limit=3'),
        get('/v1/sessions?limit=2'),
        get(`/v1/sessions?cursor=${own[1]}`),
        get(`/v1/sessions?cursor=${own[0]}`),
        get('/v1/sessions?status=live'),
      ])
      const [whole, exact, first, last, beyond, running] = pages.map((page) =>
        sessionPageSchema.parse(JSON.parse(bodyOf(page))),
      )
      const idsOf = (page: typeof whole) => page?.sessions.map(({ id }) => id)
      assert.deepEqual(idsOf(whole), newestFirst)
      assert.ok(whole?.sessions.every((session) => session.own && session.argv !== null))
      assert.deepEqual(exact, whole)
      assert.equal(exact?.nextCursor, null)
      assert.deepEqual(idsOf(first), newestFirst.slice(0, 2))
      assert.equal(first?.nextCursor, own[1])
      assert.deepEqual([idsOf(last), last?.nextCursor], [newestFirst.slice(2), null])
      assert.deepEqual([beyond, running], Array(2).fill({ sessions: [], nextCursor: null, unseenNotices: 1 }))
    })

    test('commands are counted by the session: their numbers tell nothing of others', async () => {
      const body = {
        project: '/srv/bob-project',
        agent: null,
        title: 't',
        argv: ['x'],
        terminal: { cols: 80, rows: 24 },
      }
      const [created = ''] = await askAs(bob, [writeRequest('POST', '/v1/sessions', body)])
      const { session } = JSON.parse(bodyOf(created)) as { session: { id: string } }
      const stop = (id: string) => writeRequest('POST', `/v1/sessions/${id}/commands`, { kind: 'stop' })
      const numbers: unknown[] = []
      for (let count = 0; count < 2; count++) {
        const [mine = ''] = await askAs(bob, [stop(session.id)])
        numbers.push((JSON.parse(bodyOf(mine)) as { number: unknown }).number)
        await askAs(alice, [stop(theirs.at(-1) ?? '')])
      }
      assert.deepEqual(numbers, [1, 2])
    })

    test('what bob asked for has done nothing to what is of alice, and her runner has heard of none of it', async () => {
      // Her own two commands, of the test before.
      await live.hears(/^runner .*number\\":2,/)
      const commands = live.heard.filter((line) => line.startsWith('runner ') && line.includes('command'))
      assert.equal(commands.length, 2, commands.join('\n'))
      assert.ok(!live.heard.some((line) => line.includes('closed')), live.heard.join('\n'))
      for (const id of theirs) {
        const given = await store.commands.list(id, 100)
        assert.ok(given.length === 2 && given.every(({ requestedBy }) => requestedBy === 'alice'))
        const session = await store.sessions.find(id)
        assert.equal(session?.status, id === theirs.at(-1) ? 'running' : 'ended')
        assert.equal(session?.transcriptBytes, Buffer.byteLength(marksOf(alice).output))
      }
    })

    test('what bob was refused of alice is on the record, and that he asked for what is not there is not', async () => {
      const stored = await store.audit.read('h', { afterSeq: 0, limit: 1000 })
      const entries: AuditEntry[] = stored.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')))
      const denials = entries.filter(
        ({ action, actor }) => action === 'request.denied' && actor.kind === 'caller' && actor.person === 'bob',
      )
      assert.ok(denials.length > 0)
      const [first = ''] = theirs
      assert.ok(denials.some(({ session }) => session?.id === first && session.owner === 'alice'))
      assert.ok(!JSON.stringify(denials).includes(unknownId))
    })

    test('an admin sees that they are there, whose, and how long, and by no route what is in them', async () => {
      const all = [...theirs, ...own]
      const [page = '', ...views] = await askAs(carol, [
        get('/v1/sessions?limit=200'),
        ...all.map((id) => get(`/v1/sessions/${id}`)),
      ])
      const listed = sessionPageSchema.parse(JSON.parse(bodyOf(page))).sessions
      const shown = views.map((view) => sessionViewSchema.parse(JSON.parse(bodyOf(view))))
      for (const id of all) {
        const person = theirs.includes(id) ? alice : bob
        const { project, title } = marksOf(person)
        const owner = { person: person.name, uid: person.uid, osUser: person.name }
        for (const found of [listed, shown].map((views) => views.find((view) => view.id === id)))
          assert.partialDeepStrictEqual(found, { owner, own: false, argv: null, project, title })
      }
      const filters = [
        'person=alice',
        'person=bob&status=ended',
        'project=%2Fsrv%2Falice-project',
        `idPrefix=${theirs[0]}`,
      ]
      const filtered = await askAs(
        carol,
        filters.map((query) => get(`/v1/sessions?${query}`)),
      )
      assert.deepEqual(
        filtered.map((one) => sessionPageSchema.parse(JSON.parse(bodyOf(one))).sessions.map(({ id }) => id)),
        [theirs.toReversed(), own.toReversed(), theirs.toReversed(), [theirs[0]]],
      )

      const everything = ['/v1/people', '/v1/config', '/v1/whoami?explain=1', '/v1/safeguards', '/readyz'].map(get)
      const asked = [...everything, ...all.flatMap((id) => about(id, carol)), ...all.flatMap((id) => about(id, alice))]
      const replies = await askAs(carol, asked)
      for (const [index, reply] of replies.entries()) {
        const request = asked[index] ?? ''
        assert.notEqual(statusOf(reply), 101, request)
        if (/^GET \S*\/transcript/.test(request)) assert.equal(statusOf(reply), 403, request)
        assert.ok(!/-output|-argument/.test(reply), `${request}\n${reply}`)
      }
    })

    test('of grants everybody sees those on what is theirs, and nothing tells of another', async () => {
      const [aliceGrant = '', bobGrant = ''] = opened
      const about = (grant: string) => [
        get(`/v1/access-grants?cursor=${grant}`),
        get(`/v1/access-grants?limit=1&cursor=${grant}`),
        get(`/v1/notices?cursor=${grant}`),
        writeRequest('POST', '/v1/notices/seen', { through: grant }),
        writeRequest('DELETE', `/v1/access-grants/${grant}`),
      ]
      for (const asking of [bob, daemon]) {
        const [theirs, unknown] = [await askAs(asking, about(aliceGrant)), await askAs(asking, about(unknownId))]
        assert.deepEqual(theirs.map(timeless), unknown.map(timeless))
      }
      const lists = ['/v1/access-grants', '/v1/notices', '/v1/sessions?limit=1'].map(get)
      for (const [asking, grant, session] of [
        [alice, aliceGrant, theirs[0]],
        [bob, bobGrant, own[0]],
      ] as const) {
        const [grants = '', notices = '', sessions = ''] = (await askAs(asking, lists)).map(bodyOf)
        const shown = accessGrantPageSchema.parse(JSON.parse(grants))
        assert.deepEqual(
          shown.grants.map(({ id }) => id),
          [grant],
        )
        const told = noticePageSchema.parse(JSON.parse(notices))
        const ofGrants = told.notices.filter(({ kind }) => kind === 'access.opened')
        const expected = { by: 'dave', session, grant: { id: grant, grantee: 'dave', active: true } }
        assert.partialDeepStrictEqual(ofGrants, [expected])
        assert.equal(ofGrants.length, 1)
        // Some of alice's were stopped by carol, meanwhile.
        const ofAsking: readonly string[] = asking === alice ? theirs : own
        assert.ok(told.notices.every((notice) => ofAsking.includes(notice.session)))
        const { unseenNotices } = sessionPageSchema.parse(JSON.parse(sessions))
        assert.deepEqual([told.unseen, unseenNotices], [told.notices.length, told.notices.length])
      }
      const [all = ''] = await askAs(carol, [get('/v1/access-grants')])
      const everybodys = accessGrantPageSchema.parse(JSON.parse(bodyOf(all))).grants
      assert.deepEqual(
        everybodys.map(({ id }) => id),
        opened.toReversed(),
      )
    })

    test('what somebody may is told to them and to admins, by the very answers that they would get', async () => {
      const [id = ''] = theirs
      const ask = async (asking: Person, name: string) => {
        const requests = sessionActions.map((action) =>
          get(`/v1/people/${name}/permission?session=${id}&action=${action}`),
        )
        return (await askAs(asking, requests)).map((reply) => permissionSchema.parse(JSON.parse(bodyOf(reply))))
      }
      const allowed = (permissions: Awaited<ReturnType<typeof ask>>) =>
        Object.fromEntries(permissions.map(({ action, allow, code }) => [action, allow ? 'yes' : code]))
      const each = (answer: string) => Object.fromEntries(sessionActions.map((action) => [action, answer]))
      // What is for admins is said to be so, whatever it is about.
      const forAdmins = { 'access.open': 'not-permitted' }
      for (const asking of [alice, carol])
        assert.deepEqual(allowed(await ask(asking, 'alice')), { ...each('yes'), ...forAdmins })
      for (const asking of [bob, carol])
        assert.deepEqual(allowed(await ask(asking, 'bob')), { ...each('not-found'), ...forAdmins })
      const ofAdmin = {
        ...each('not-permitted'),
        'session.read': 'yes',
        'session.stop': 'yes',
        'session.rename': 'yes',
        'access.open': 'yes',
      }
      assert.deepEqual(allowed(await ask(carol, 'carol')), ofAdmin)
      const ofDave = { ...ofAdmin, 'transcript.read': 'yes', 'session.attach': 'yes' }
      for (const asking of [carol, dave]) assert.deepEqual(allowed(await ask(asking, 'dave')), ofDave)
    })
  })
}
