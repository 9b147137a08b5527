// What is wrong with a configuration: everything at once, each with its place and its mend, never with a value that may be a secret.

/** A variable of the environment, or a place in a file: line and column count from 1, `key` is the path of keys to it, empty
 *  where there is none. */
export type ConfigPlace =
  | { readonly variable: string }
  | { readonly file: string; readonly line: number; readonly column: number; readonly key: string }

export type ConfigFault = ConfigPlace & { readonly problem: string; readonly mend: string }

const maxShown = 50

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code = 'config'
  /** EX_CONFIG of sysexits(3). */
  readonly exitCode = 78
  readonly faults: readonly ConfigFault[]
  constructor(faults: readonly ConfigFault[], options?: { readonly cause?: unknown }) {
    const subject = faults.every((fault) => 'variable' in fault)
      ? 'the settings of the environment'
      : 'the configuration'
    const lines = faults.slice(0, maxShown).map((fault) => `  ${describeFault(fault)}; ${fault.mend}`)
    const more = faults.length > maxShown ? [`  and ${faults.length - maxShown} more`] : []
    super([`cannot use ${subject}:`, ...lines, ...more].join('\n'), options)
    this.faults = faults
  }
}

/** A variable's name, or FILE:LINE. */
export function describePlace(place: ConfigPlace): string {
  return 'variable' in place ? place.variable : `${place.file}:${place.line}`
}

/** Where it is and what is wrong there, without the mend. */
export function describeFault(fault: ConfigFault): string {
  if ('variable' in fault) return `${fault.variable} ${fault.problem}`
  const { file, line, column, key, problem } = fault
  return `${file}:${line}:${column}: ${key === '' ? '' : `${key} `}${problem}`
}

/** For sorting: as a reader of the file meets them. */
export function inFileOrder(one: ConfigFault, other: ConfigFault): number {
  if (!('line' in one && 'line' in other)) return 0
  return one.line - other.line || one.column - other.column
}
