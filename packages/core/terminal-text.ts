// Untrusted text (titles, names, reasons) on its way to a terminal: made safe to print, measured and cut by columns.

import { eastAsianWidth } from 'get-east-asian-width'

const notPrintableAscii = /[^\x20-\x7e]/

// What acts on a terminal or hides in a line: controls, line and paragraph separators, lone surrogates, and all format and
// default-ignorable characters (bidi controls, zero-width characters, tags, fillers, ...), save where ordinary text needs them:
// - a variation selector after a pictograph, and in a keycap;
// - a zero-width joiner between two pictographs;
// - joiners after a virama, and a non-joiner between Arabic letters (the contexts of RFC 5892, appendix A.1 and A.2).
const unsafe =
  /(?!(?<=\p{Extended_Pictographic})[\ufe0e\ufe0f]|(?<=[0-9#*])\ufe0f(?=\u20e3)|(?<=\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]?)\u200d(?=\p{Extended_Pictographic})|(?<=[\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca])[\u200c\u200d]|(?<=[\p{Script=Arabic}&&\p{L}])\u200c(?=[\p{Script=Arabic}&&\p{L}]))[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gv

// Marks beyond what any orthography stacks cover the lines above and below.
const surplusMark = /(?<=[\p{Mn}\p{Me}]{8})[\p{Mn}\p{Me}]/gu

/** The text safe to print on a terminal, in one line. C0 controls and DEL become their control pictures (U+2400 to U+2421),
 *  everything else that acts or hides becomes U+FFFD. Letters written from right to left stay: they are text. */
export function neutralise(text: string): string {
  if (!notPrintableAscii.test(text)) return text
  return text.replace(surplusMark, '\ufffd').replace(unsafe, (character) => {
    const code = character.charCodeAt(0)
    if (code < 0x20) return String.fromCharCode(0x2400 + code)
    return code === 0x7f ? '\u2421' : '\ufffd'
  })
}

const zeroWidth = /[\p{Mn}\p{Me}\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u1160-\u11ff]/u

/** Columns a code point takes by itself, as wcwidth(3) has it: 0, 1 or 2. */
export function codePointWidth(codePoint: number): 0 | 1 | 2 {
  if (codePoint < 0x300) return codePoint < 0x20 || (codePoint >= 0x7f && codePoint < 0xa0) ? 0 : 1
  return zeroWidth.test(String.fromCodePoint(codePoint)) ? 0 : eastAsianWidth(codePoint)
}

// What a terminal draws as one: a flag, a keycap, an emoji sequence, or any other character, with the marks on it.
const cluster =
  /(?:\p{Regional_Indicator}{2}|[0-9#*]\ufe0f\u20e3|\p{Extended_Pictographic}[\ufe0e\ufe0f\p{Emoji_Modifier}]?(?:\u200d\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]?)*|.)[\p{Mn}\p{Me}]*/gsu
const emojiSequence = /^\p{Regional_Indicator}{2}|\ufe0f|\u200d\p{Extended_Pictographic}|.\p{Emoji_Modifier}/u

function clusterWidth(text: string): number {
  return emojiSequence.test(text) ? 2 : codePointWidth(text.codePointAt(0) ?? 0)
}

/** Columns that neutralised text takes. Terminals differ over emoji sequences; this counts those that a current one draws as one, as two. */
export function displayWidth(text: string): number {
  if (!notPrintableAscii.test(text)) return text.length
  let width = 0
  for (const [part] of text.matchAll(cluster)) width += clusterWidth(part)
  return width
}

/** Neutralised text cut to at most so many columns; where something was cut, it ends with an ellipsis. */
export function truncate(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text
  if (columns < 1) return ''
  let end = 0
  let width = 0
  for (const [part] of text.matchAll(cluster)) {
    width += clusterWidth(part)
    if (width > columns - 1) break
    end += part.length
  }
  return `${text.slice(0, end)}…`
}
