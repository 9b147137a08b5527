// What happened to sessions, for those who may see them: the stream of `GET /v1/events`, and what the store keeps for it.

/** `agent`: what its agent does has changed. `renamed`: its title has. */
export const sessionEventKinds = ['created', 'running', 'lost', 'ended', 'agent', 'renamed'] as const
export type SessionEventKind = (typeof sessionEventKinds)[number]

export type SessionEvent = {
  /** A random UUID: who sees two of them learns nothing of how many there are in between. */
  readonly id: string
  /** Order of the commits, within the store. Shown to nobody. */
  readonly ordinal: number
  readonly kind: SessionEventKind
  /** Microseconds since 1970-01-01T00:00:00Z. */
  readonly atUs: number
}
