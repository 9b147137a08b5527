// Grants over the service, and what goes out under them: who gets what, and what the record says of it. One
// file: each test has the same session of alice's, her runner, and an admin.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import { after, before, describe, type TestContext, test } from 'node:test'
import { maxReasonLength } from '@teleclaude/core/access.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import { encodeChunk, encodeSnapshotPart } from '@teleclaude/core/transcript.ts'
import { engineNames, startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { connectRunner, connectViewer } from '../test-serve.ts'
import { alicesSession, entries, isProblem, putGrant, readAll, serveTo, until } from './test-access.ts'

const nobodys = '00000000-0000-4000-8000-000000000000'

function isOf<Type extends string>(type: Type) {
  return <Message extends { readonly type: string }>(message: Message): message is Message & { readonly type: Type } =>
    message.type === type
}

for (const name of engineNames) {
  describe(`on ${name}`, { timeout: 60_000 }, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    async function make(t: TestContext, outputs: readonly string[] = ['one', 'three']) {
      const { store } = await engine.createStore()
      const session = await alicesSession(store, outputs)
      return { store, session, ...(await serveTo(t, store)) }
    }

    /** The same, and alice's runner is here. */
    async function makeLive(t: TestContext) {
      const made = await make(t, [])
      made.asking.person = 'alice'
      const runner = await connectRunner(made.client, made.session)
      await runner.hears(isOf('welcome'))
      made.asking.person = 'ada'
      const open = (drive = false) => made.client.openAccess({ session: made.session.id, reason: 'to see', drive })
      const print = (seq: number, text: string) =>
        runner.socket.send(encodeChunk({ seq, kind: 'output', offsetUs: seq, bytes: Buffer.from(text) }))
      return { ...made, runner, open, print }
    }

    /** Once all that is over is on the record. */
    async function delivered(store: Awaited<ReturnType<typeof make>>['store'], count = 1) {
      await until(async () => (await entries(store, /^content\.delivered$/)).length >= count)
      return entries(store, /^content\.delivered$/)
    }

    test('a grant is opened with a reason, is on the record before it holds, and its owner is told', async (t) => {
      const { client, store, session } = await make(t)
      const grant = await client.openAccess({ session: session.id, reason: '  an incident  ', minutes: 5 })
      assert.partialDeepStrictEqual(grant, {
        ...{ session: session.id, owner: 'alice', grantee: 'ada', reason: 'an incident', drive: false, active: true },
        ...{ endedAt: null, ending: null, views: [] },
      })
      assert.equal(Date.parse(grant.expiresAt) - Date.parse(grant.openedAt), 5 * 60_000)
      const [entry, ...others] = await entries(store, /^access/)
      assert.equal(others.length, 0)
      assert.partialDeepStrictEqual(entry, {
        actor: { kind: 'caller', person: 'ada' },
        session: { id: session.id, owner: 'alice' },
        detail: { grant: grant.id, drive: false, minutes: 5 },
      })
      // Only as a commitment.
      assert.match(String(entry?.detail.reason), /^sha256:/)
      const notices = await store.notices.list({ person: 'alice', limit: 10 })
      assert.partialDeepStrictEqual(notices, [{ kind: 'access.opened', by: 'ada', grantId: grant.id, seenAtUs: null }])
      assert.deepEqual(await store.notices.list({ person: 'ada', limit: 10 }), [])
      assert.deepEqual((await client.listAccessGrants({ active: 'true' })).grants, [grant])
    })

    test('no grant is opened without a reason that people can read, nor on what is one’s own or nobody’s', async (t) => {
      const { client, store, session, asking } = await make(t)
      const open = (reason: string, id: string = session.id) => client.openAccess({ session: id, reason })
      const bad = ['', '  ', 'a\nb', 'a\u0007', '\u202ereversed', 'zero\u200bwidth', '\u2028', 'x\u0000', '\ud800']
      for (const reason of [...bad, 'x'.repeat(maxReasonLength + 1)]) {
        await assert.rejects(open(reason), isProblem('invalid'), JSON.stringify(reason))
      }
      for (const minutes of [0, -1, 1.5, 481])
        await assert.rejects(client.openAccess({ session: session.id, reason: 'x', minutes }), isProblem('invalid'))
      await assert.rejects(open('x', nobodys), isProblem('not-found'))
      asking.person = 'alice'
      await assert.rejects(open('x'), isProblem('not-permitted', /for admins/))
      Object.assign(asking, { person: 'alan', role: 'admin' })
      const own = await store.sessions.create({
        ...session,
        id: crypto.randomUUID() as typeof session.id,
        owner: { ...session.owner, person: 'alan' },
      })
      await assert.rejects(open('x', own.id), isProblem('invalid', /it is yours: no grant is needed/))
      assert.deepEqual(await entries(store, /^access/), [])
    })

    test('content is shown under a grant alone, and that it was is on the record: when, to whom, how much', async (t) => {
      const { client, store, session } = await make(t)
      for (const format of ['raw', 'text', 'cast'] as const)
        await assert.rejects(readAll(client, session.id, { format }), isProblem('not-permitted', /telec access open/))
      const grant = await client.openAccess({ session: session.id, reason: 'to see' })
      assert.equal(await readAll(client, session.id), 'onethree')
      assert.match(await readAll(client, session.id, { format: 'text' }), /^onethree/)
      assert.match(await readAll(client, session.id, { format: 'cast' }), /three/)
      await delivered(store, 3)
      const found = await entries(store, /^content/)
      assert.deepEqual(
        found.map(({ action }) => action),
        Array.from({ length: 3 }, () => ['content.opened', 'content.delivered']).flat(),
      )
      for (const { actor, session: subject, detail } of found) {
        assert.partialDeepStrictEqual(actor, { kind: 'caller', person: 'ada' })
        assert.deepEqual(subject, { id: session.id, owner: 'alice' })
        assert.partialDeepStrictEqual(detail, { grant: grant.id, kind: 'transcript' })
      }
      for (const { detail } of found.filter(({ action }) => action === 'content.delivered')) {
        assert.partialDeepStrictEqual(detail, { firstSeq: 1, lastSeq: 2, bytes: 8, complete: true })
        assert.equal(typeof detail.durationMs, 'number')
      }
      const [listed] = (await client.listAccessGrants({})).grants
      assert.equal(listed?.views.length, 3)
      for (const view of listed?.views ?? [])
        assert.partialDeepStrictEqual(view, { kind: 'transcript', bytes: 8, firstSeq: 1, lastSeq: 2 })
    })

    test('to search is to read: under a grant alone, and what was read until then is on the record', async (t) => {
      const { client, store, session, asking } = await make(t, ['needle 1\r\n', 'hay\r\n', 'needle 2\r\n'])
      const search = async (limit?: number) => {
        const query = { text: 'needle', ...(limit === undefined ? {} : { limit }) }
        return text(await client.searchTranscript(session.id, query))
      }
      await assert.rejects(search(), isProblem('not-permitted', /telec access open/))
      asking.person = 'bob'
      asking.role = 'member'
      await assert.rejects(search(), isProblem('not-found'))
      Object.assign(asking, { person: 'ada', role: 'admin' })
      assert.deepEqual(await entries(store, /^content/), [])
      const grant = await client.openAccess({ session: session.id, reason: 'to see' })
      assert.equal(await search(), '{"line":1,"text":"needle 1"}\n{"line":3,"text":"needle 2"}\n')
      assert.equal(await search(1), '{"line":1,"text":"needle 1"}\n')
      const [all, ...others] = await delivered(store, 2)
      assert.equal(others.length, 1)
      assert.partialDeepStrictEqual(all?.detail, { grant: grant.id, kind: 'transcript', firstSeq: 1, lastSeq: 3 })
      asking.person = 'alice'
      assert.equal((await search()).length, 58)
      assert.equal((await entries(store, /^content\.opened$/)).length, 2)
    })

    test('of somebody who stops reading, what is put down is what went out', async (t) => {
      const outputs = Array.from({ length: 200 }, () => 'x'.repeat(64 * 1024))
      const { client, store, session } = await make(t, outputs)
      await client.openAccess({ session: session.id, reason: 'to see' })
      const answer = await client.readTranscript(session.id, { format: 'raw' })
      await once(answer, 'readable')
      answer.destroy()
      const [entry] = await delivered(store)
      const { firstSeq, lastSeq, bytes } = entry?.detail ?? {}
      assert.equal(firstSeq, 1)
      assert.ok(Number(lastSeq) < outputs.length, String(lastSeq))
      assert.equal(bytes, Number(lastSeq) * 64 * 1024)
    })

    test('nobody holds more grants than there is room for', async (t) => {
      const { client, store, session } = await make(t)
      for (let count = 0; count < 200; count++) await putGrant(store, session)
      const asked = { action: 'transcript.read', session: session.id } as const
      await until(() => client.readPermission('ada', asked).then(({ allow }) => allow))
      const open = () => client.openAccess({ session: session.id, reason: 'to see' })
      await until(() => open().then(() => false, isProblem('limit-reached', /telec access end/)))
      const [grant] = (await client.listAccessGrants({ active: 'true', limit: 1 })).grants
      await client.endAccess(grant?.id ?? '')
      assert.ok((await open()).active)
    })

    test('what is one’s own is read without a word on the record', async (t) => {
      const { client, store, session, asking } = await make(t)
      asking.person = 'alice'
      assert.equal(await readAll(client, session.id), 'onethree')
      assert.deepEqual(await entries(store, /^content/), [])
    })

    test('who only asks for the head is shown nothing, and that is on the record as well', async (t) => {
      const { client, store, session } = await make(t)
      await client.openAccess({ session: session.id, reason: 'to see' })
      const path = `/v1/sessions/${session.id}/transcript?format=raw`
      const head = request({ socketPath: client.socketPath, path, method: 'HEAD' }).end()
      const [response] = await once(head, 'response')
      response.resume()
      assert.equal(response.statusCode, 200)
      assert.partialDeepStrictEqual(await delivered(store), [{ detail: { firstSeq: null, lastSeq: null, bytes: 0 } }])
    })

    test('a live view goes on until its grant is ended, which cuts it off and says why', async (t) => {
      const { client, store, session, runner, open, print } = await makeLive(t)
      await assert.rejects(connectViewer(client, session, {}), isProblem('not-permitted'))
      const grant = await open()
      const viewer = await connectViewer(client, session, { show: 'screen', afterSeq: 'end' })
      await runner.hears(isOf('snapshot'))
      print(1, 'ab')
      runner.socket.send(encodeSnapshotPart({ seq: 1, isLast: true, bytes: Buffer.from('shown') }))
      print(2, 'cde')
      await viewer.until(() => viewer.frames.length === 2)
      // To type takes another one.
      await assert.rejects(connectViewer(client, session, { drive: 'true' }), isProblem('not-permitted', /--drive/))
      const ended = await client.endAccess(grant.id)
      assert.partialDeepStrictEqual(ended, { active: false, ending: 'ended', endedBy: 'ada' })
      const [code, reason] = await viewer.closed
      assert.equal(code, closeCodes.notPermitted)
      assert.match(reason, /your access to this session has ended: ada ended it/)
      print(3, 'nobody sees this')
      const [entry] = await delivered(store)
      assert.partialDeepStrictEqual(entry?.detail, {
        kind: 'attach',
        firstSeq: 1,
        lastSeq: 2,
        bytes: 8,
        complete: true,
      })
      assert.equal(viewer.frames.length, 2)
      await assert.rejects(client.endAccess(grant.id), isProblem('conflict', /it ended at/))
      await assert.rejects(client.endAccess(nobodys), isProblem('not-found'))
      await assert.rejects(client.endAccess('x'), isProblem('not-found'))
      await assert.rejects(readAll(client, session.id), isProblem('not-permitted'))
      assert.partialDeepStrictEqual(await entries(store, /^access\.ended/), [
        { detail: { grant: grant.id, why: 'ended' } },
      ])
    })

    test('each view ends with its own grant, whatever others there are', async (t) => {
      const { client, session, open } = await makeLive(t)
      const first = await open()
      const viewer = await connectViewer(client, session, {})
      await viewer.hears(isOf('welcome'))
      await open(true)
      await client.endAccess(first.id)
      assert.equal((await viewer.closed)[0], closeCodes.notPermitted)
      const next = await connectViewer(client, session, {})
      await next.hears(isOf('welcome'))
    })

    test('an end through another host’s service cuts off what this one delivers', async (t) => {
      const { client, store, session, open } = await makeLive(t)
      const there = await serveTo(t, store, 'there')
      there.asking.person = 'ben'
      const grant = await open()
      const viewer = await connectViewer(client, session, {})
      await viewer.hears(isOf('welcome'))
      await there.client.endAccess(grant.id)
      assert.match((await viewer.closed)[1], /ben ended it/)
      await delivered(store)
      assert.equal((await entries(store, /^access\.ended/, 'there')).length, 1)
      assert.equal((await entries(store, /^access\.ended/)).length, 0)
    })

    test('a transcript that is followed ends with the grant, and does not look whole', async (t) => {
      const { client, store, session, open, print } = await makeLive(t)
      const grant = await open()
      print(1, 'abc')
      const following = await client.readTranscript(session.id, { format: 'raw', follow: 'true' })
      const [first] = await once(following, 'data')
      assert.equal(String(first), 'abc')
      const cut = assert.rejects(async () => {
        for await (const _ of following);
      }, /aborted/)
      await client.endAccess(grant.id)
      await cut
      assert.partialDeepStrictEqual(await delivered(store), [{ detail: { kind: 'follow', lastSeq: 1, bytes: 3 } }])
    })

    test('time ends a grant: what is open is cut, and that it expired is on the record', async (t) => {
      const { client, store, session } = await makeLive(t)
      const grant = await putGrant(store, session, { expiresAtUs: nowUs() + 1_500_000 })
      const asked = { action: 'session.attach', session: session.id } as const
      // What was opened elsewhere is heard of in its own time.
      await until(() => client.readPermission('ada', asked).then(({ allow }) => allow))
      const viewer = await connectViewer(client, session, {})
      const [code, reason] = await viewer.closed
      assert.deepEqual([code, /its time is over/.test(reason)], [closeCodes.notPermitted, true])
      assert.ok(nowUs() - grant.expiresAtUs < 2_000_000)
      await delivered(store)
      await until(async () => (await store.access.find(grant.id))?.ended !== null)
      assert.partialDeepStrictEqual((await store.access.find(grant.id))?.ended, { by: null, why: 'expired' })
      const ended = { actor: { kind: 'service', name: 'api' }, detail: { grant: grant.id, why: 'expired' } }
      assert.partialDeepStrictEqual(await entries(store, /^access\.ended/), [ended])
    })

    test('who may drive types, and sends: each on the record before the runner hears of it, and the owner is told', async (t) => {
      const { client, store, session, runner, open } = await makeLive(t)
      await open()
      const send = () => client.enqueueCommand(session.id, { kind: 'send', text: 'y', enter: true })
      await assert.rejects(send(), isProblem('not-permitted', /look only/))
      const grant = await open(true)
      await send()
      await client.enqueueCommand(session.id, { kind: 'interrupt' })
      await runner.until(() => runner.heard.filter(isOf('command')).length === 2)
      assert.partialDeepStrictEqual(await entries(store, /^session\.commanded/), [
        { actor: { person: 'ada' }, session: { owner: 'alice' }, detail: { kind: 'send', grant: grant.id } },
        { detail: { kind: 'interrupt', grant: grant.id } },
      ])
      const driver = await connectViewer(client, session, { drive: 'take' })
      await runner.until(() => runner.heard.filter(isOf('driver')).some((told) => told.driver?.person === 'ada'))
      driver.socket.close()
      assert.partialDeepStrictEqual(await delivered(store), [{ detail: { kind: 'drive', grant: grant.id } }])
      await client.endAccess(grant.id)
      await assert.rejects(send(), isProblem('not-permitted'))
      await client.enqueueCommand(session.id, { kind: 'stop' })
      await client.updateSession(session.id, { title: 'named' })
      const kinds = (await store.notices.list({ person: 'alice', limit: 20 })).map(({ kind }) => kind)
      assert.deepEqual(kinds.toReversed(), [
        ...['access.opened', 'access.opened', 'session.commanded', 'session.commanded'],
        ...['session.stopped', 'session.renamed'],
      ])
    })

    test('the owner’s own terminals hear of it, beside what the program shows; others’ do not', async (t) => {
      const { client, session, asking, open, print } = await makeLive(t)
      asking.person = 'alice'
      const early = await connectViewer(client, session, {})
      await early.hears(isOf('welcome'))
      asking.person = 'ada'
      const grant = await open(true)
      const opened = await early.hears(isOf('access'))
      assert.deepEqual(opened, {
        ...{ type: 'access', state: 'opened', grantee: 'ada', reason: 'to see', drive: true, until: grant.expiresAt },
      })
      const viewer = await connectViewer(client, session, {})
      asking.person = 'alice'
      const late = await connectViewer(client, session, {})
      await late.hears(isOf('access'))
      assert.deepEqual(
        late.heard.slice(0, 2).map(({ type }) => type),
        ['welcome', 'access'],
      )
      asking.person = 'ada'
      print(1, 'x')
      await viewer.until(() => viewer.frames.length === 1)
      await client.endAccess(grant.id)
      for (const end of [early, late]) await end.until(() => end.heard.filter(isOf('access')).at(-1)?.state === 'ended')
      await viewer.closed
      assert.ok(viewer.heard.every(({ type }) => type !== 'access'))
      assert.ok([early, late].every(({ frames }) => frames.every((frame) => frame[0] === 1)))
    })

    test('notices say what was done, by whom and why, and are seen when their owner says so', async (t) => {
      const { client, session, asking } = await make(t)
      for (const reason of ['first', 'second', 'third']) await client.openAccess({ session: session.id, reason })
      assert.deepEqual(await client.listNotices({}), { notices: [], unseen: 0, nextCursor: null })
      asking.person = 'alice'
      assert.equal((await client.listSessions({})).unseenNotices, 3)
      const newest = await client.listNotices({ limit: 2 })
      assert.deepEqual(
        newest.notices.map(({ grant }) => grant?.reason),
        ['third', 'second'],
      )
      assert.equal(newest.unseen, 3)
      const rest = await client.listNotices({ limit: 2, cursor: newest.nextCursor ?? '' })
      assert.deepEqual(
        rest.notices.map(({ grant, seen, by }) => [grant?.reason, seen, by]),
        [['first', false, 'ada']],
      )
      assert.equal(rest.nextCursor, null)
      await client.markNoticesSeen(newest.notices[1]?.id ?? '')
      const unseen = await client.listNotices({ unseen: 'true' })
      assert.deepEqual(
        unseen.notices.map(({ grant }) => grant?.reason),
        ['third'],
      )
      assert.equal((await client.listSessions({})).unseenNotices, 1)
    })

    test('who is no admin any more sees nothing of the grants that they held', async (t) => {
      const { client, store, session, asking, roles } = await make(t)
      for (const reason of ['one', 'two', 'three']) await client.openAccess({ session: session.id, reason })
      roles.ada = 'member'
      assert.deepEqual(await client.listAccessGrants({ limit: 1 }), { grants: [], nextCursor: null })
      asking.person = 'alice'
      const first = await client.listAccessGrants({ limit: 2 })
      assert.equal(first.grants.length, 2)
      const second = await client.listAccessGrants({ limit: 2, cursor: first.nextCursor ?? '' })
      assert.deepEqual([second.grants.length, second.nextCursor], [1, null])
      assert.equal((await store.access.list({ scope: { kind: 'all' }, limit: 10 })).length, 3)
    })

    test('what is open when the service stops is on the record by its end', async (t) => {
      const { client, store, session, stop, open } = await makeLive(t)
      await open()
      const viewer = await connectViewer(client, session, {})
      await viewer.hears(isOf('welcome'))
      await stop()
      assert.equal((await viewer.closed)[0], closeCodes.restarting)
      const found = await entries(store, /^(content|service\.stopped)/)
      assert.deepEqual(
        found.map(({ action }) => action),
        ['content.opened', 'content.delivered', 'service.stopped'],
      )
    })

    test('after a crash what was being shown is put down as cut off, and what expired meanwhile as expired', async (t) => {
      const { store } = await engine.createStore()
      const session = await alicesSession(store, ['one'])
      const grant = await putGrant(store, session, { openedAtUs: nowUs() - 10_000_000, expiresAtUs: nowUs() - 1 })
      const elsewhere = await putGrant(store, session, { host: 'elsewhere', expiresAtUs: nowUs() - 1 })
      const view = { id: crypto.randomUUID(), grantId: grant.id, kind: 'attach', openedAtUs: 1 } as const
      await store.access.beginView({ ...view, host: 'h' })
      await store.access.beginView({ ...view, id: crypto.randomUUID(), host: 'elsewhere' })
      await serveTo(t, store)
      await delivered(store)
      await until(async () => (await store.access.listOpenViews('h')).length === 0)
      await until(async () => (await store.access.find(grant.id))?.ended !== null)
      assert.partialDeepStrictEqual(await entries(store, /^content/), [
        { session: { id: session.id, owner: 'alice' }, detail: { view: view.id, bytes: 0, complete: false } },
      ])
      assert.partialDeepStrictEqual(await entries(store, /^access/), [{ detail: { grant: grant.id, why: 'expired' } }])
      assert.equal((await store.access.listOpenViews('elsewhere')).length, 1)
      assert.equal((await store.access.find(elsewhere.id))?.ended, null)
      const listed = (await store.access.listViews([grant.id])).find(({ id }) => id === view.id)
      assert.partialDeepStrictEqual(listed?.ended, { firstSeq: null, bytes: 0, isComplete: false })
    })
  })
}
