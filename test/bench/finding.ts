// What a bench found, and what is to be said of it. Speed is never asserted: a verdict is for people to read.

export type Unit = 'µs' | 'ms' | 's' | 'per s' | 'MB' | 'MB a s'

/** What it is held against: something else that was measured in the same rounds, in turns with it; or a fixed number. */
export type Beside =
  | { readonly kind: 'peer'; readonly what: string; readonly rounds: readonly number[] }
  | { readonly kind: 'limit'; readonly value: number }

/** Of the ratio to what stands beside it. */
export type Budget = { readonly kind: 'at most' | 'at least'; readonly ratio: number }

export type Finding = {
  readonly what: string
  readonly unit: Unit
  /** One value a round. */
  readonly rounds: readonly number[]
  readonly beside: Beside | null
  readonly budget: Budget | null
}

export type Measure = { readonly median: number; readonly min: number; readonly max: number }

export type Summary = {
  readonly what: string
  readonly unit: Unit
  readonly measured: Measure
  readonly beside: (Measure & { readonly what: string }) | null
  /** The median of the rounds' own ratios: what slows a whole round down slows both. */
  readonly ratio: number | null
  readonly budget: Budget | null
  readonly verdict: 'ok' | 'over' | null
}

/** The most that a measured time may be. */
export function limit(value: number): Pick<Finding, 'beside' | 'budget'> {
  return { beside: { kind: 'limit', value }, budget: { kind: 'at most', ratio: 1 } }
}

export function summarise({ what, unit, rounds, beside, budget }: Finding): Summary {
  const others = beside === null ? null : beside.kind === 'peer' ? beside.rounds : rounds.map(() => beside.value)
  if (others !== null && others.length !== rounds.length) {
    throw new RangeError(`cannot compare ${what}: ${rounds.length} rounds beside ${others.length}`)
  }
  const ratio = others === null ? null : median(rounds.map((value, round) => value / (others[round] ?? Number.NaN)))
  return {
    what,
    unit,
    measured: measure(rounds),
    beside: others === null ? null : { what: beside?.kind === 'peer' ? beside.what : 'limit', ...measure(others) },
    ratio,
    budget,
    verdict: ratio === null || budget === null ? null : holds(ratio, budget) ? 'ok' : 'over',
  }
}

function holds(ratio: number, budget: Budget): boolean {
  return budget.kind === 'at most' ? ratio <= budget.ratio : ratio >= budget.ratio
}

function measure(rounds: readonly number[]): Measure {
  return { median: median(rounds), min: Math.min(...rounds), max: Math.max(...rounds) }
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The value that the given share of all does not exceed (nearest rank). @throws RangeError where there is no value */
export function quantile(values: readonly number[], share: number): number {
  const found = values.toSorted((one, other) => one - other)[Math.max(0, Math.ceil(values.length * share) - 1)]
  if (found === undefined) throw new RangeError('cannot find a quantile: nothing was measured')
  return found
}
