// What the tests of this folder make transcripts from.

import { randomUUID } from 'node:crypto'
import type { Session, SessionId } from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'

export function sessionFixture(changes: Partial<Session> = {}): Session {
  return {
    id: randomUUID() as SessionId,
    ordinal: 1,
    host: 'host',
    owner: { person: 'alice', uid: 1000, osUser: 'alice' },
    project: '/srv/project',
    agent: null,
    title: '',
    argv: ['true'],
    terminal: { cols: 80, rows: 24 },
    status: 'ended',
    exit: { kind: 'exited', code: 0 },
    createdAtUs: 1_699_999_999_000_000,
    startedAtUs: 1_700_000_000_500_000,
    endedAtUs: 1_700_000_001_000_000,
    lastOutputAtUs: null,
    transcriptBytes: 0,
    transcriptRemovedAtUs: null,
    parentId: null,
    agentStatus: { state: 'unknown', source: null, sinceUs: null },
    ...changes,
  }
}

export async function* chunksOf(chunks: Iterable<TranscriptChunk>): AsyncGenerator<TranscriptChunk> {
  yield* chunks
}

/** Consecutive parts of the bytes, of the sizes given. */
export function cutAnywhere(bytes: Uint8Array, sizes: Iterator<number>): Uint8Array[] {
  const parts: Uint8Array[] = []
  for (let at = 0; at < bytes.length; ) {
    const size = sizes.next().value
    parts.push(bytes.subarray(at, at + size))
    at += size
  }
  return parts
}
