// A secret's value on its way to the one place that needs it: whatever prints, logs, serialises or copies it on the way
// gets `<secret>` or an empty object.

import { inspect } from 'node:util'

const shown = '<secret>'

/** Two of them are deeply equal whatever they hold: compare what they reveal. */
export class Secret {
  readonly #value: string
  constructor(value: string) {
    this.#value = value
  }
  /** For the call that needs the value: keep it nowhere, put it into no message. */
  reveal(): string {
    return this.#value
  }
  toString(): string {
    return shown
  }
  toJSON(): string {
    return shown
  }
  [inspect.custom](): string {
    return shown
  }
}
