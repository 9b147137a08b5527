// What a terminal sends when a text is typed or pasted into it.

const pasteStart = '\x1b[200~'
const pasteEnd = '\x1b[201~'

export type TypedText = {
  readonly bytes: Buffer
  /** What has to follow where not all of the bytes could be typed, so that the program is not left in the middle of a paste. */
  readonly ifCutShort: Buffer
}

/** Enter is CR at a terminal. Where the program asks for bracketed paste (XTerm Control Sequences, DECSET 2004), several lines go as
 *  one paste, which nothing in the text can end early; one line is typed. */
export function encodeTypedText(text: string, bracketedPaste: boolean): TypedText {
  const typed = text.replaceAll(/\r?\n/g, '\r')
  if (!bracketedPaste || !typed.includes('\r')) return { bytes: Buffer.from(typed), ifCutShort: Buffer.alloc(0) }
  // ESC, and CSI as one character.
  const harmless = typed.replaceAll('\x1b', '').replaceAll('\x9b', '')
  return { bytes: Buffer.from(pasteStart + harmless + pasteEnd), ifCutShort: Buffer.from(pasteEnd) }
}
