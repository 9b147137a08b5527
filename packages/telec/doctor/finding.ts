// One thing that `telec doctor` looked at, and what it is like.

export type Finding = {
  /** A stable name. */
  readonly check: string
  readonly state: 'ok' | 'warn' | 'fail'
  readonly what: string
  /** What to do about it: a command wherever there is one. Null where there is nothing to mend. */
  readonly mend: string | null
}

export function ok(check: string, what: string): Finding {
  return { check, state: 'ok', what, mend: null }
}

/** It works, but not as well or as safely as it should. */
export function warn(check: string, what: string, mend: string): Finding {
  return { check, state: 'warn', what, mend }
}

export function fail(check: string, what: string, mend: string): Finding {
  return { check, state: 'fail', what, mend }
}

export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
