// What a user whom nobody knows tries, and what came of it, as it goes between the doctor and the process that is that user.

import { z } from 'zod'

/** A request that does nothing even where it is let past the gate: no body that the service takes looks like it, and its
 *  handshake has no key. */
export type Probe = {
  readonly method: string
  readonly path: string
  readonly body: string | null
  /** Of the WebSocket that it asks for; null for a plain request. */
  readonly protocol: string | null
}

export type Attempt =
  /** `make`: a file, which is taken away again. */
  | { readonly kind: 'open' | 'make' | 'connect'; readonly path: string }
  /** By the call that is for the other kind: whether one may remove it at all is what the kernel looks at first. */
  | { readonly kind: 'remove-file' | 'remove-directory'; readonly path: string }
  | { readonly kind: 'signal'; readonly pid: number }

export type Task = {
  /** Of the throwaway user, and of its one group. */
  readonly uid: number
  /** The service's. */
  readonly socket: string
  readonly probes: readonly Probe[]
  readonly attempts: readonly Attempt[]
  /** Of PostgreSQL's socket, to log in at. */
  readonly databaseDirectory: string
}

const answerSchema = z.union([
  z.strictObject({ status: z.int(), body: z.string() }),
  z.strictObject({ failure: z.string() }),
])
/** What the service said, or the error that kept it from saying anything. */
export type ProbeAnswer = z.infer<typeof answerSchema>

const reportSchema = z.strictObject({
  whoami: answerSchema,
  /** In the order of the task's. */
  probes: z.array(answerSchema),
  /** In the order of the task's: an error's code; null where it worked. */
  outcomes: z.array(z.string().nullable()),
  database: z.strictObject({
    check: z.string(),
    state: z.enum(['ok', 'warn', 'fail']),
    what: z.string(),
    mend: z.string().nullable(),
  }),
})
export type Report = z.infer<typeof reportSchema>

/** @throws Error for anything but a whole report: who writes it is nobody to be trusted */
export function parseReport(text: string, { probes, attempts }: Task): Report {
  const report = reportSchema.parse(JSON.parse(text))
  if (report.probes.length === probes.length && report.outcomes.length === attempts.length) return report
  throw new Error('its report is not about all that it should have tried')
}
