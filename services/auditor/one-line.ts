// What somebody else wrote, on its way into our messages: receivers, files and tables that others can write.

const maxLength = 1000

/** One line without control characters, well-formed, and of bounded length. */
export function oneLine(text: string): string {
  const line = text
    .slice(0, 4 * maxLength)
    .toWellFormed()
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
  return line.length <= maxLength ? line : `${line.slice(0, maxLength - 3).toWellFormed()}...`
}
