// The two keys that let go of a session: Ctrl and a key, then a letter. Everything else that is typed is the session's, byte
// for byte: the first key alone, too, once it is clear that the second does not follow, and pressed twice it is sent once.
// Agents ask for keys in other forms than a byte, and then a terminal that can sends those:
// https://sw.kovidgoyal.net/kitty/keyboard-protocol/, and modifyOtherKeys of xterm. They count where they come in one piece.

export type DetachKey = {
  /** One step through what is typed: one of the keys, that of any key being let up, or a byte. */
  readonly step: RegExp
  /** For people to read. */
  readonly written: string
}

/** `written` is of the form that preferences allow: `ctrl-\ d`. */
export function parseDetachKey(written: string): DetachKey {
  const first = written.charCodeAt('ctrl-'.length)
  const letter = written.charCodeAt(written.length - 1)
  const anyLock = (modifiers: number) => [0, 64, 128, 192].map((locks) => modifiers + locks).join('|')
  const pressed = String.raw`(?::[12])?(?:;[\d:]*)?u`
  const forms = {
    // Ctrl takes all but the lowest five bits from a character of ASCII.
    first: [
      byte(first & 0x1f),
      String.raw`${byte(0x1b)}\[${first}(?::\d*)*;(?:${anyLock(5)})${pressed}`,
      String.raw`${byte(0x1b)}\[27;5;${first}~`,
    ],
    letter: [byte(letter), String.raw`${byte(0x1b)}\[${letter}(?::\d*)*(?:;(?:${anyLock(1)})?${pressed}|u)`],
    up: [String.raw`${byte(0x1b)}\[\d+(?::\d*)*;\d+:3(?:;[\d:]*)?u`],
  }
  const groups = Object.entries(forms).map(([name, alternatives]) => `(?<${name}>${alternatives.join('|')})`)
  return { step: new RegExp([...groups, String.raw`[\s\S]`].join('|'), 'g'), written: `C${written.slice(1)}` }
}

function byte(code: number): string {
  return String.raw`\x${code.toString(16).padStart(2, '0')}`
}

export type Typed = {
  /** For the session. */
  readonly send: Buffer
  /** The first key where it was the last one: kept back until the next says what it is. Empty otherwise. */
  readonly held: Buffer
  /** What was typed behind the two keys is nobody's. */
  readonly detached: boolean
}

/** `heldBefore` is what the call before has returned. */
export function readTyped({ step }: DetachKey, heldBefore: Buffer, bytes: Buffer): Typed {
  let send = ''
  let held = heldBefore.toString('latin1')
  let detached = false
  for (const { 0: taken, groups } of bytes.toString('latin1').matchAll(step)) {
    if (held === '' && groups?.first !== undefined) held = taken
    else if (held === '') send += taken
    else if (groups?.up !== undefined) held += taken
    else {
      detached = groups?.letter !== undefined
      if (detached) break
      send += groups?.first === undefined ? held + taken : taken
      held = ''
    }
  }
  return { send: Buffer.from(send, 'latin1'), held: Buffer.from(detached ? '' : held, 'latin1'), detached }
}
