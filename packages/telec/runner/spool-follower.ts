// Reads a spool while its runner writes it, for the terminal that the session was started in: what a program prints is on this disk
// before anybody else has it. It never holds up the runner, and what the service has taken may be gone before it was read here.

import {
  closeSync,
  existsSync,
  type FSWatcher,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  watch,
} from 'node:fs'
import { join } from 'node:path'
import { maxChunkBytes, maxFrameBytes } from '@teleclaude/core/transcript.ts'
import { isSegmentName, isWholeFrame, recordHeadBytes, segmentBytes, segmentNameOf } from './spool.ts'

/** One chunk as a flood has them, or many small ones. */
const readBytes = recordHeadBytes + maxFrameBytes
/** After so long at a stretch, others have their turn: a slow terminal takes its time over each chunk. */
const stretchMs = 5
/** What comes in full chunks is looked for so often: no screen shows it sooner. */
const floodMs = 16
/** How fast it goes is known after so long. */
const measureAfterMs = 1_000

export type FollowerEvents = {
  /** The frame of the next chunk, from the first one on. Its bytes are valid during the call alone, unless they are `held`. */
  frame(frame: Buffer): 'done' | 'held'
  /** So long it will take to show what there is by now, as fast as that went of late. */
  behind(seconds: number): void
  /** There is nothing more to be had here; called once. */
  lost(): void
}

export class SpoolFollower {
  readonly #directory: string
  readonly #events: FollowerEvents
  readonly #watcher: FSWatcher
  #fd: number | null = null
  /** What is read into. */
  #block: Buffer | null = null
  #offset = 0
  /** Of the chunk that comes next. */
  #seq = 1
  #isStarted = false
  #isHeld = false
  #isClosed = false
  #immediate: NodeJS.Immediate | undefined
  #timer: NodeJS.Timeout | undefined
  #isFlood = false
  /** When all that there was had been read, and what was read since. */
  #levelMs = performance.now()
  #sinceLevel = 0

  private constructor(directory: string, events: FollowerEvents) {
    this.#directory = directory
    this.#events = events
    this.#watcher = watch(directory, () => this.#wake())
    this.#watcher.on('error', () => this.#lose())
  }

  /** Null where nobody says when something is written: the service's stream is there for everybody. */
  static open(directory: string, events: FollowerEvents): SpoolFollower | null {
    // Elsewhere it is said too late for what somebody types to come back at once.
    if (process.platform !== 'linux') return null
    try {
      const follower = new SpoolFollower(directory, events)
      follower.#prepare()
      return follower.#isClosed ? null : follower
    } catch (error) {
      // It is gone, or its owner watches too much already (inotify(7)).
      if (isOfSystem(error)) return null
      throw error
    }
  }

  start(): void {
    this.#isStarted = true
    if (this.#isClosed) this.#events.lost()
    this.#levelMs = performance.now()
    this.#pump()
  }

  hold(): void {
    this.#isHeld = true
  }

  goOn(): void {
    this.#isHeld = false
    this.#pump()
  }

  /** Reads what is there now. */
  readAll(): void {
    while (!this.#isClosed && this.#read() > 0);
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearImmediate(this.#immediate)
    clearTimeout(this.#timer)
    this.#watcher.close()
    if (this.#fd !== null) closeSync(this.#fd)
    this.#fd = null
  }

  /** How many segments are on the disk: of a session that is recorded elsewhere, one or two. */
  get segments(): number {
    return this.#list().length
  }

  #list(): readonly string[] {
    try {
      return readdirSync(this.#directory).filter(isSegmentName)
    } catch (error) {
      if (isMissing(error)) return []
      throw error
    }
  }

  #countUnread(): number {
    const present = this.#fd === null ? 0 : fstatSync(this.#fd).size - this.#offset
    const next = segmentNameOf(this.#seq)
    const later = this.#list().filter((name) => name >= next)
    return later.reduce((sum, name) => sum + sizeOf(join(this.#directory, name)), present)
  }

  /** In a flood there is more to be had in a moment: to be woken for each chunk would take as long as to show it. */
  #wake(): void {
    if (!this.#isFlood) this.#pump()
    else this.#timer ??= setTimeout(() => this.#pump(), floodMs)
  }

  #pump(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (!this.#isStarted) {
      this.#prepare()
      return
    }
    const startedMs = performance.now()
    while (!this.#isClosed && !this.#isHeld) {
      const bytes = this.#read()
      const nowMs = performance.now()
      if (bytes === 0) {
        this.#levelMs = nowMs
        this.#isFlood = this.#sinceLevel >= maxChunkBytes
        this.#sinceLevel = 0
        return
      }
      this.#sinceLevel += bytes
      if (nowMs - startedMs < stretchMs) continue
      clearImmediate(this.#immediate)
      this.#immediate = setImmediate(() => this.#pump())
      this.#measure(nowMs - this.#levelMs)
      return
    }
  }

  #measure(tookMs: number): void {
    if (tookMs < measureAfterMs || this.#isClosed) return
    this.#events.behind((this.#countUnread() * tookMs) / this.#sinceLevel / 1_000)
  }

  /** Returns how many bytes there were. */
  #read(): number {
    try {
      if (this.#fd === null) this.#openNext()
      return this.#fd === null ? 0 : this.#readOn(this.#fd)
    } catch (error) {
      if (!isOfSystem(error)) throw error
      this.#lose()
      return 0
    }
  }

  #readOn(fd: number): number {
    const { size, nlink } = fstatSync(fd)
    const bytes = this.#readSegment(fd, size)
    if (bytes > 0 || this.#isClosed || this.#isHeld) return bytes
    // One that is full, or gone, is not added to any more; and it only goes when there is a next one, or with all of them.
    const isWhole = size >= segmentBytes || nlink === 0
    const next = isWhole ? this.#tryOpen() : null
    if (next === null) {
      if (nlink === 0) this.#lose()
      return 0
    }
    closeSync(fd)
    this.#fd = next
    this.#offset = 0
    return this.#readSegment(next, fstatSync(next).size)
  }

  #readSegment(fd: number, size: number): number {
    const there = size - this.#offset
    if (there <= recordHeadBytes) return 0
    this.#block ??= Buffer.allocUnsafeSlow(readBytes)
    const block = this.#block
    const read = readSync(fd, block, 0, block.length, this.#offset)
    let taken = 0
    while (taken + recordHeadBytes < read && !this.#isClosed && !this.#isHeld) {
      const from = taken + recordHeadBytes
      const length = block.readUInt32BE(taken)
      if (length > maxFrameBytes) {
        this.#lose()
        break
      }
      // The rest is being written.
      if (from + length > read) break
      const frame = block.subarray(from, from + length)
      if (!isWholeFrame(frame, block.readUInt32BE(taken + 4))) {
        this.#lose()
        break
      }
      taken = from + length
      this.#seq += 1
      // New memory for each chunk of a flood would take as long as to read it.
      if (this.#events.frame(frame) === 'held') this.#block = null
    }
    this.#offset += taken
    return taken
  }

  /** What is open can be read also after the spool is gone. */
  #prepare(): void {
    if (this.#fd === null && !this.#isClosed) this.#openNext()
  }

  /** The first segment may not be there yet; or not any more, and then there are others, or the whole spool has gone. */
  #openNext(): void {
    this.#fd = this.#tryOpen()
    if (this.#fd !== null) return
    const isGone = !existsSync(this.#directory) || this.#list().some((name) => name > segmentNameOf(this.#seq))
    if (isGone) this.#lose()
  }

  #tryOpen(): number | null {
    try {
      return openSync(join(this.#directory, segmentNameOf(this.#seq)), 'r')
    } catch (error) {
      if (isMissing(error)) return null
      throw error
    }
  }

  #lose(): void {
    if (this.#isClosed) return
    this.close()
    if (this.#isStarted) this.#events.lost()
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
