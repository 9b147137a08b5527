// The one way out for content: transcripts, in whatever form, and what is attached to live sessions. One's own simply passes. For
// somebody else's, that it is opened is on the record before there is anything to read it with; what went out is put down when it
// is over, for whatever reason that is.

import { randomUUID } from 'node:crypto'
import type { AccessGrant, ViewKind } from '@teleclaude/core/access.ts'
import type { AuditEvent } from '@teleclaude/core/audit.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { Session } from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { actorOf, record, subjectOf } from '../audit/record.ts'
import { ownershipOf } from '../http/gate.ts'
import type { Service } from '../service.ts'
import { orNotRecorded } from './recorded.ts'

/** What somebody may read of a session, for as long as they do. */
export type Content = {
  /** What is recorded after that chunk, a page of it; none where there is none yet. @throws StoreError */
  read(afterSeq: number): Promise<readonly TranscriptChunk[]>
  /** To be told before anything goes out: which chunk that is, or up to which a snapshot shows, and how many bytes of output. */
  sending(seq: number, outputBytes: number): void
  /** Nothing more goes out. Only the first call counts. */
  over(): void
}

type Asked = {
  readonly service: Service
  readonly caller: Caller
  readonly session: Session
  /** What allows it, where the session is somebody else's. */
  readonly grant: AccessGrant | null
}

const what = 'show the content of this session'

/** @throws ProblemError 'not-recorded', 'audit-alarm', 'not-permitted' (where the grant ended meanwhile): nothing is to be shown */
export async function openContent({ service, caller, session, grant }: Asked, kind: ViewKind): Promise<Content> {
  // Read with the viewer's own credentials: each user has turns of their own.
  const read = (afterSeq: number) => service.pages.read(caller.credentials, session.id, afterSeq)
  if (ownershipOf(session, caller) === 'own') return { read, sending: () => undefined, over: () => undefined }
  if (grant === null) throw new ProblemError('not-permitted', `cannot ${what}: it is somebody else's`)
  service.assurance.requireCalm()
  const view = new View({ service, caller, session, grant }, kind)
  await view.open()
  return {
    read,
    sending: (seq, outputBytes) => view.sending(seq, outputBytes),
    over: () => view.over(),
  }
}

class View {
  readonly #asked: Asked & { readonly grant: AccessGrant }
  readonly #kind: ViewKind
  readonly #id = randomUUID()
  readonly #openedMs = performance.now()
  #firstSeq: number | null = null
  #lastSeq: number | null = null
  #bytes = 0
  #isOver = false

  constructor(asked: Asked & { readonly grant: AccessGrant }, kind: ViewKind) {
    this.#asked = asked
    this.#kind = kind
  }

  async open(): Promise<void> {
    const { service, caller, grant } = this.#asked
    const seq = await orNotRecorded(what, record(service, this.#event('content.opened', {})))
    service.access.viewBegins(this.#id, () => this.over())
    try {
      await orNotRecorded(what, service.assurance.untilSafe(seq))
      await orNotRecorded(what, this.#begin())
      // From here to the first byte nothing is waited for that does not look again (open-streams.ts).
      service.access.requireStill(grant, caller, what)
    } catch (error) {
      this.over()
      throw error
    }
  }

  #begin(): Promise<void> {
    const { service, grant } = this.#asked
    const view = { id: this.#id, grantId: grant.id, host: service.host, kind: this.#kind, openedAtUs: nowUs() }
    return service.store.access.beginView(view)
  }

  sending(seq: number, outputBytes: number): void {
    // A snapshot can be of a screen on which there is nothing yet.
    if (seq > 0) {
      this.#firstSeq = Math.min(this.#firstSeq ?? seq, seq)
      this.#lastSeq = Math.max(this.#lastSeq ?? seq, seq)
    }
    this.#bytes += outputBytes
  }

  over(): void {
    if (this.#isOver) return
    this.#isOver = true
    const { access, store } = this.#asked.service
    const delivered = { firstSeq: this.#firstSeq, lastSeq: this.#lastSeq, bytes: this.#bytes }
    const durationMs = Math.round(performance.now() - this.#openedMs)
    const atUs = nowUs()
    let isRecorded = false
    access.owed.add('what was shown of a session', async () => {
      if (!isRecorded) {
        await record(
          this.#asked.service,
          this.#event('content.delivered', { ...delivered, durationMs, complete: true }),
        )
        isRecorded = true
      }
      await store.access.endView(this.#id, { atUs, ...delivered, isComplete: true })
      access.viewEnded(this.#id)
    })
  }

  #event(action: 'content.opened' | 'content.delivered', detail: AuditEvent['detail']): AuditEvent {
    const { caller, session, grant } = this.#asked
    return {
      action,
      actor: actorOf(caller),
      session: subjectOf(session),
      detail: { view: this.#id, grant: grant.id, kind: this.#kind, ...detail },
    }
  }
}
