// Sends a snapshot of the screen part by part, each when the service asks for it.

import { encodeSnapshotPart, maxChunkBytes, maxSnapshotBytes } from '@teleclaude/core/transcript.ts'
import type { ScreenFeed, Snapshot } from './screen-feed.ts'

export class SnapshotSender {
  readonly #screen: Pick<ScreenFeed, 'snapshot'>
  readonly #send: (frame: Uint8Array) => void
  /** What is left of the one that is being sent; null where none is. */
  #left: Snapshot | null = null
  #asked = 0

  constructor(screen: Pick<ScreenFeed, 'snapshot'>, send: (frame: Uint8Array) => void) {
    this.#screen = screen
    this.#send = send
  }

  /** Gives up what it had not sent of an earlier one.
   *  @throws Error where the screen is too large to be sent */
  async begin(): Promise<void> {
    this.#asked += 1
    const asked = this.#asked
    this.#left = null
    const snapshot = await this.#screen.snapshot()
    // Asked for anew meanwhile, over another connection.
    if (snapshot === null || asked !== this.#asked) return
    if (snapshot.bytes.length > maxSnapshotBytes) throw new Error(`it takes ${snapshot.bytes.length} bytes`)
    this.#left = snapshot
    this.sendPart()
  }

  sendPart(): void {
    if (this.#left === null) return
    const { seq, bytes } = this.#left
    const isLast = bytes.length <= maxChunkBytes
    this.#send(encodeSnapshotPart({ seq, isLast, bytes: bytes.subarray(0, maxChunkBytes) }))
    this.#left = isLast ? null : { seq, bytes: bytes.subarray(maxChunkBytes) }
  }
}
