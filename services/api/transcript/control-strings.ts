// Drops what is inside of control strings (OSC, DCS, SOS, PM, APC): titles, links, palettes, pictures, none of it text. The emulator
// would keep such a payload at some thirty bytes a character, up to ten million characters, and walk through lists in it.

const bellCode = 0x07
const cancelCode = 0x18
const substituteCode = 0x1a
const escapeCode = 0x1b
const removeCode = 0x7f

/** A filter over text that comes in parts. The introducer and the terminator stay, so that all else keeps its meaning.
 *  States as in https://vt100.net/emu/dec_ansi_parser, with BEL as a terminator of OSC. */
export function controlStringFilter(): (text: string) => string {
  let state: 'ground' | 'escape' | 'osc' | 'string' = 'ground'
  return (text) => {
    let kept = ''
    let keepFrom = 0
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at)
      const isC1 = code >= 0x80 && code < 0xa0
      if (state === 'osc' || state === 'string') {
        const ends =
          code === escapeCode ||
          code === cancelCode ||
          code === substituteCode ||
          isC1 ||
          (code === bellCode && state === 'osc')
        if (!ends) continue
        keepFrom = at
        state = 'ground'
      }
      if (code === escapeCode) state = 'escape'
      else if (isC1) state = introduced(code - 0x40)
      else if (state === 'escape') {
        const isPassedOver = code === removeCode || (code < 0x20 && code !== cancelCode && code !== substituteCode)
        if (!isPassedOver) state = introduced(code)
      }
      if (state === 'osc' || state === 'string') kept += text.slice(keepFrom, at + 1)
    }
    return state === 'osc' || state === 'string' ? kept : kept + text.slice(keepFrom)
  }
}

/** The state after ESC and this character, or after the one C1 control that stands for both (ECMA-48, 5.3). */
function introduced(code: number): 'ground' | 'osc' | 'string' {
  if (code === 0x5d) return 'osc'
  return code === 0x50 || code === 0x58 || code === 0x5e || code === 0x5f ? 'string' : 'ground'
}
