// How sessions and commands look from outside.

import type { CommandView, SessionView } from '@teleclaude/core/api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import type { Command } from '@teleclaude/core/command.ts'
import { formatInstant } from '@teleclaude/core/instant.ts'
import { decide } from '@teleclaude/core/policy.ts'
import type { Session } from '@teleclaude/core/session.ts'
import { ownershipOf } from '../http/gate.ts'

const instantOrNull = (us: number | null) => (us === null ? null : formatInstant(us))

export function viewSession(session: Session, caller: Caller): SessionView {
  const ownership = ownershipOf(session, caller)
  const mayReadContent = decide(caller, 'transcript.read', { kind: 'session', ownership }).allow
  return {
    id: session.id,
    host: session.host,
    owner: session.owner,
    own: ownership === 'own',
    project: session.project,
    agent: session.agent,
    title: session.title,
    argv: mayReadContent ? [...session.argv] : null,
    terminal: session.terminal,
    status: session.status,
    exit: session.exit,
    createdAt: formatInstant(session.createdAtUs),
    startedAt: instantOrNull(session.startedAtUs),
    endedAt: instantOrNull(session.endedAtUs),
    lastOutputAt: instantOrNull(session.lastOutputAtUs),
    transcriptBytes: session.transcriptBytes,
    transcriptRemovedAt: instantOrNull(session.transcriptRemovedAtUs),
    parent: session.parentId,
    agentStatus: {
      state: session.agentStatus.state,
      source: session.agentStatus.source,
      since: instantOrNull(session.agentStatus.sinceUs),
    },
  }
}

export function viewCommand(command: Command): CommandView {
  return {
    number: command.number,
    kind: command.kind,
    force: command.force,
    enter: command.enter,
    requestedBy: command.requestedBy,
    state: command.state,
    reason: command.reason,
    createdAt: formatInstant(command.createdAtUs),
    expiresAt: formatInstant(command.expiresAtUs),
    finishedAt: instantOrNull(command.finishedAtUs),
  }
}
