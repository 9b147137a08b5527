// Transcripts, read a page at a time. To each user one after the other, whatever they read in how many places, and not without a
// pause: what came in for all of them at the same moment would hold up everybody while it is passed on.

import { setTimeout as delay } from 'node:timers/promises'
import type { Owner, SessionId } from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { Turns } from '../limits/turns.ts'

/** Held in memory for each reader, until they have taken it. */
const pageBytes = 128 * 1024
/** Between two pages of a user. */
const paceMs = 2

export class TranscriptPages {
  readonly #store: { readonly transcripts: Pick<Store['transcripts'], 'read'> }
  readonly #turns = new Turns<number>()

  constructor(store: { readonly transcripts: Pick<Store['transcripts'], 'read'> }) {
    this.#store = store
  }

  /** The chunks after `afterSeq`, in order; none where there are none yet. @throws StoreError */
  read({ uid }: Pick<Owner, 'uid'>, id: SessionId, afterSeq: number): Promise<readonly TranscriptChunk[]> {
    return new Promise((resolve, reject) => {
      this.#turns
        .run(uid, async () => {
          resolve(await this.#store.transcripts.read(id, { afterSeq, maxBytes: pageBytes }))
          await delay(paceMs)
        })
        .catch(reject)
    })
  }
}
