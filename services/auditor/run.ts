// The auditor at work: checks, cosigns and ships whatever comes, for as long as it runs. LISTEN is a hint, the sweep is the truth.

import { nowUs } from '@teleclaude/core/instant.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { schedule } from 'node-cron'
import { acceptHeld } from './accept.ts'
import { type AcceptRequest, answerAcceptRequest, readAcceptRequest } from './accept-request.ts'
import { AuditAlarm } from './alarm.ts'
import { Bell } from './bell.ts'
import { Heart } from './heartbeat.ts'
import { Link, type Work } from './link.ts'
import type { AuditorOptions } from './options.ts'
import { retryParked } from './parked.ts'
import { isPassing } from './passing.ts'
import { fileSinkOf } from './sinks.ts'
import { readState } from './state.ts'
import { verifyLog } from './verify.ts'

const everyTwoSeconds = '*/2 * * * * *'
const everyNight = '17 3 * * *'
const everyDay = '47 4 * * *'

/** Until `stop` is aborted: what is under way is finished then.
 *  @throws StoreError 'lock-held' where another auditor of this host runs, and for a database that is not ours to read */
export async function runAuditor(options: AuditorOptions, stop: AbortSignal): Promise<void> {
  const { directory, host, log } = options
  const bell = new Bell()
  const heart = new Heart(directory, host, log)
  await using link = new Link(options, bell)
  while (!stop.aborted) {
    await follow(link, heart, bell, stop)
    const request = await readAcceptRequest(directory)
    if (request !== null && !stop.aborted) await link.interrupt((store) => accept(store, options, request))
  }
  await heart.become('stopped')
}

/** Until it is to stop, or is asked to accept the log. */
async function follow(link: Link, heart: Heart, bell: Bell, stop: AbortSignal): Promise<void> {
  const ended = new AbortController()
  const over = AbortSignal.any([stop, ended.signal])
  over.addEventListener('abort', () => bell.ring())
  const following = new Following(link, heart, bell, over, () => ended.abort())
  const schedules = [
    schedule(everyTwoSeconds, () => following.sweep()),
    schedule(everyNight, () => following.verify(), { noOverlap: true }),
    schedule(everyDay, () => following.retry(), { noOverlap: true }),
  ]
  try {
    await following.run()
  } finally {
    ended.abort()
    for (const scheduled of schedules) await scheduled.destroy()
    await following.finish()
  }
}

async function accept(store: Store, options: AuditorOptions, { id, reason }: AcceptRequest): Promise<void> {
  try {
    const accepted = await acceptHeld(store, options, reason)
    options.log.warn({ reason, ...accepted }, 'the log was accepted as it is now')
    await answerAcceptRequest(options.directory, { id, accepted, refusal: null })
  } catch (error) {
    if (!(error instanceof AuditAlarm) && !isPassing(error)) throw error
    await answerAcceptRequest(options.directory, { id, accepted: null, refusal: error.message })
  }
}

/** Checks, cosigns and ships all there is.
 *  @returns how many entries the sinks got
 *  @throws AuditAlarm, and why a sink would not take them, after all that could be done */
export async function shipOnce(options: AuditorOptions): Promise<number> {
  const startedAtUs = nowUs()
  await using link = new Link(options, null)
  const { tail, shippings, tidy, say } = await link.open()
  const failures: unknown[] = []
  try {
    while (await tail.step());
  } catch (error) {
    if (error instanceof AuditAlarm) await tail.raise(error)
    failures.push(error)
  }
  await tail.save()
  const never = new AbortController().signal
  let total = 0
  for (const shipping of shippings) {
    try {
      for (let shipped = -1; shipped !== 0; total += shipped) shipped = await shipping.shipBatch(never)
    } catch (error) {
      if (error instanceof AuditAlarm) await tail.raise(error, true)
      failures.push(error)
    }
  }
  await tidy()
  const [failure] = failures
  const message = failure === undefined ? null : failure instanceof Error ? failure.message : String(failure)
  // Whose signatures these are, has to be known also where no auditor stays.
  await say({ state: 'stopped', message, startedAtUs, atUs: nowUs() })
  if (failures.length > 0) throw failure
  return total
}

type Condition = { readonly state: 'shipping' } | { readonly state: 'alarm' | 'waiting'; readonly why: Error }

/** The tail in one loop, each sink in one of its own. */
class Following {
  readonly #link: Link
  readonly #heart: Heart
  readonly #bell: Bell
  readonly #over: AbortSignal
  readonly #end: () => void
  #work: Work | null = null
  #shipping: Promise<unknown> = Promise.resolve()
  #sweeping: Promise<unknown> = Promise.resolve()
  #condition: Condition = { state: 'shipping' }
  /** What the nightly look has found; another such look forgets it. */
  #found: AuditAlarm | null = null

  /** @param end makes `over` abort: what runs here ends */
  constructor(link: Link, heart: Heart, bell: Bell, over: AbortSignal, end: () => void) {
    this.#link = link
    this.#heart = heart
    this.#bell = bell
    this.#over = over
    this.#end = end
  }

  /** @throws what no waiting mends */
  async run(): Promise<void> {
    while (!this.#over.aborted) {
      try {
        const work = await this.#open()
        const hasMore = await work.tail.step()
        for (const shipping of work.shippings) shipping.look()
        this.#condition = this.#found === null ? { state: 'shipping' } : { state: 'alarm', why: this.#found }
        await this.#say()
        if (hasMore) continue
      } catch (error) {
        this.#condition = await this.#conditionAfter(error)
        for (const shipping of this.#work?.shippings ?? []) shipping.look()
        await this.#say()
      }
      await this.#bell.rung()
      this.#link.throwIfLost()
    }
    // A sink's own failure is thrown here.
    await this.#shipping
  }

  async #open(): Promise<Work> {
    if (this.#work !== null) return this.#work
    const work = await this.#link.open()
    this.#heart.tellWith((word) => work.say(word))
    const running = work.shippings.map(async (shipping) => {
      try {
        await shipping.run(this.#over, () => this.#onSinkChange())
      } catch (error) {
        // The whole ends with it.
        this.#end()
        throw error
      }
    })
    this.#shipping = Promise.all(running)
    // Thrown when `run` awaits it; until then nobody does.
    this.#shipping.catch(() => null)
    this.#work = work
    return work
  }

  /** @throws what no waiting mends */
  async #conditionAfter(error: unknown): Promise<Condition> {
    if (error instanceof AuditAlarm) {
      await this.#raise(error)
      return { state: 'alarm', why: error }
    }
    if (isPassing(error)) return { state: 'waiting', why: error }
    throw error
  }

  async #raise(alarm: AuditAlarm, isOfSink = false): Promise<void> {
    try {
      await this.#work?.tail.raise(alarm, isOfSink)
    } catch (error) {
      // It is known, and told as soon as that can be done: the next step raises it again.
      if (!isPassing(error)) throw error
    }
  }

  #onSinkChange(): void {
    this.#sweeping = this.#sweeping.then(async () => {
      for (const { state } of this.#work?.shippings ?? [])
        if (state?.state === 'alarm') await this.#raise(state.why, true)
      await this.#say()
    })
  }

  /** The worst of all, once all of them are known. */
  async #say(): Promise<void> {
    const shippings = this.#work?.shippings ?? []
    const known = shippings.flatMap(({ name, state }) => (state === null ? [] : [{ name, state }]))
    this.#heart.note(
      known.map(({ name, state }) => ({
        name,
        state: state.state,
        message: state.state === 'shipping' ? null : state.why.message,
      })),
    )
    const all: readonly Condition[] = [this.#condition, ...known.map(({ state }) => state)]
    const worst = all.find(({ state }) => state === 'alarm') ?? all.find(({ state }) => state === 'waiting')
    if (worst !== undefined && worst.state !== 'shipping') await this.#heart.become(worst.state, worst.why)
    else if (known.length === shippings.length) await this.#heart.become('shipping')
  }

  sweep(): Promise<unknown> {
    this.#bell.ring()
    this.#sweeping = this.#sweeping.then(async () => {
      await this.#trying(async ({ tail, tidy }) => {
        await tail.save()
        await tidy()
      })
      if (this.#work !== null) await this.#say()
      await this.#heart.beat()
      if ((await readAcceptRequest(this.#link.options.directory)) !== null) this.#end()
    })
    return this.#sweeping
  }

  verify(): Promise<void> {
    return this.#trying(async ({ store, key, tail }) => {
      const { directory, host, log, sinks } = this.#link.options
      await tail.save()
      const state = await readState(directory, host)
      const found = await verifyLog({ store, host, directory, state, key, files: fileSinkOf(sinks) })
      this.#found = found.alarm
      if (found.alarm !== null) await this.#raise(found.alarm)
      log.info({ holds: found.holds, entries: found.entries }, 'verified the whole log')
      this.#bell.ring()
    })
  }

  retry(): Promise<void> {
    return this.#trying(async ({ store, verified, sinks }) => {
      const outcome = await retryParked({ store, log: verified, sinks, stop: this.#over }, {})
      if (outcome.tried > 0) this.#link.options.log.info(outcome, 'tried parked entries again')
    })
  }

  /** What is done beside the work: where it can't be done now, it is done the next time. */
  async #trying(task: (work: Work) => Promise<void>): Promise<void> {
    if (this.#work === null || this.#over.aborted) return
    try {
      await task(this.#work)
    } catch (error) {
      if (error instanceof AuditAlarm) await this.#raise(error)
      else this.#link.options.log.warn({ err: error }, 'could not do that now')
    }
  }

  async finish(): Promise<void> {
    await this.#shipping.catch(() => null)
    await this.#sweeping.catch(() => null)
    await this.#save()
  }

  async #save(): Promise<void> {
    try {
      await this.#work?.tail.save()
    } catch (error) {
      if (!isPassing(error)) throw error
    }
  }
}
