// Takes over from runners that are gone: ends what could go on unrecorded, sends the service all that they have left, marks
// where the recording breaks off, and removes the spool when the service has everything.

import { lstatSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from '@teleclaude/client/client.ts'
import type { Gap } from '@teleclaude/core/session.ts'
import { encodeChunk } from '@teleclaude/core/transcript.ts'
import { type LinkEnd, RunnerLink } from '../runner/link.ts'
import { type FoundSpool, Spool, SpoolError } from '../runner/spool.ts'
import { claim } from './claim.ts'
import { endProgram } from './end-program.ts'
import { findOrphans, isGone, type Orphan, undeliveredName } from './orphans.ts'
import type { Machine } from './process-identity.ts'
import { removedSuffix, removeSpool } from './remove-spool.ts'
import { type SessionFile, sessionFileName } from './session-file.ts'

/** How long a service that is away is waited for. The next command of `telec` begins anew. */
const awayPatienceMs = 10 * 60_000
/** What could not be delivered for this long never will be. */
const keepMs = 30 * 24 * 60 * 60_000
const atOnce = 8

/** @param sessionId the only one to see to; all where it is left out */
export async function recoverOrphans(spoolDirectory: string, sessionId?: string): Promise<void> {
  const wanted = findOrphans(spoolDirectory).filter(
    ({ directory }) => sessionId === undefined || directory === join(spoolDirectory, sessionId),
  )
  const queue = wanted.values()
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const orphan of queue) await recover(orphan)
    }),
  )
}

/** What goes wrong with one costs the others nothing. */
async function recover(orphan: Orphan): Promise<void> {
  try {
    await takeOver(orphan)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
    // Delivered by somebody else between the look and the claim.
    if (error.code === 'ENOENT') return
    log(orphan.directory, `not recovered yet: ${error.message}; the next telec command tries again`)
  }
}

async function takeOver({ directory, machine, session }: Orphan): Promise<void> {
  if (directory.endsWith(removedSuffix)) {
    removeSpool(directory)
    return
  }
  if (!claim(directory, machine)) return
  if (session === null) {
    keep(directory, 'it does not say of which session it is')
    return
  }
  // Asked again now that nobody else works on it.
  if (!isGone(session, machine, directory)) return
  endProgram(session, machine)
  try {
    await deliver(directory, session, machine)
  } catch (error) {
    if (!(error instanceof SpoolError)) throw error
    keep(directory, error.message)
  }
}

async function deliver(directory: string, session: SessionFile, machine: Machine): Promise<void> {
  const found = Spool.open(directory)
  const end = await send(found, session, machine)
  found.spool.close()
  switch (end.kind) {
    case 'complete':
      log(directory, 'recovered: the service has all that its runner left')
      removeSpool(directory)
      return
    case 'away':
      log(directory, `not recovered yet: ${end.reason}; the next telec command tries again`)
      return
    case 'refused':
    case 'failed':
      keep(directory, end.reason)
  }
}

function send({ spool, last, damagedBytes }: FoundSpool, session: SessionFile, machine: Machine): Promise<LinkEnd> {
  const patience = setTimeout(() => link.giveUp(), awayPatienceMs)
  const link = new RunnerLink(new Client(session.socketPath), session.sessionId, spool, {
    newestSeq: last?.seq ?? 0,
    recovery: true,
    refusedGraceMs: 0,
    ready: (ackedSeq) => {
      if (last?.kind === 'exit' || last?.kind === 'gap') return
      // After a crash of the machine the service can have more than the disk.
      const seq = Math.max(ackedSeq, last?.seq ?? 0) + 1
      const gap: Gap = { reason: gapReason(session, machine, damagedBytes) }
      const bytes = Buffer.from(JSON.stringify(gap))
      const frame = encodeChunk({ seq, kind: 'gap', offsetUs: last?.offsetUs ?? 0, bytes })
      spool.keepInMemory(seq, frame)
      link.send(seq, frame)
    },
    connected: () => undefined,
    progressed: () => patience.refresh(),
    input: () => undefined,
    message: (message) => {
      if (message.type !== 'command') return
      link.tell({ type: 'command-finished', number: message.number, reason: 'the runner of the session is gone' })
    },
    refusedForGood: () => link.giveUpIfRefused(),
  })
  return link.run().finally(() => clearTimeout(patience))
}

function gapReason(session: SessionFile, machine: Machine, damagedBytes: number): string {
  const why = whyGone(session.machine, machine)
  return damagedBytes === 0 ? why : `${why}, and the last ${damagedBytes} bytes that it had kept are damaged`
}

function whyGone(there: Machine, here: Machine): string {
  if (there.bootId !== here.bootId) return 'the machine was restarted'
  return there.pidNamespace === here.pidNamespace ? 'the runner was killed' : 'what its runner ran in has ended'
}

/** It is tried again later, for as long as that makes sense. */
function keep(directory: string, why: string): void {
  // What the runner wrote: the rest is from those who tried this.
  const files = readdirSync(directory).filter((name) => name.endsWith('.chunks') || name === sessionFileName)
  const newestMs = Math.max(0, ...files.map((name) => lstatSync(join(directory, name)).mtimeMs))
  if (Date.now() - newestMs > keepMs) {
    log(directory, `given up: ${why}; what there was is removed, after 30 days`)
    removeSpool(directory)
    return
  }
  log(directory, `not recovered: ${why}; its output is kept for 30 days`)
  writeFileSync(join(directory, undeliveredName), `${why}\n`, { mode: 0o600 })
}

function log(directory: string, text: string): void {
  process.stderr.write(`spool ${directory} ${text}\n`)
}
