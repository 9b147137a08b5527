// Characters that would act on a terminal that it is shown on, or hide there; JSON.stringify escapes only those below U+0020.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** The same value, as JSON in one line that is safe to print. */
export function toJson(value: object): string {
  return JSON.stringify(value).replace(unprintable, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}

/** One object, on a line of its own. */
export function printJson(value: object): void {
  process.stdout.write(`${toJson(value)}\n`)
}
