// For tests: what a program prints that wants to get at whoever looks on.

const fill = (length: number) => 'x'.repeat(length)

/** By what they are after. Each leaves the terminal in a state in which text is text again, unless its name says otherwise. */
export const hostileOutput: Readonly<Record<string, string>> = {
  'a title': '\x1b]0;owned\x07\x1b]2;owned\x1b\\\x1bkowned\x1b\\',
  'a title that is asked back': '\x1b]2;rm -rf ~\n\x07\x1b[21t\x1b[20t',
  'a link': '\x1b]8;;https://example.org/\x1b\\click\x1b]8;;\x1b\\',
  'the clipboard': '\x1b]52;c;cm0gLXJmIH4K\x07\x1b]52;c;?\x07\x1b]52;p;?\x1b\\',
  'notifications and a picture': '\x1b]9;look\x07\x1b]777;notify;a;b\x07\x1b]1337;File=inline=1:AAAA\x07',
  'the palette': '\x1b]4;0;#ffffff\x07\x1b]10;#000000\x07\x1b]11;#000000\x07\x1b]4;0;?\x07\x1b]10;?\x07\x1b]104\x07',
  'the working directory and marks': '\x1b]7;file:///etc\x07\x1b]133;A\x07\x1b]633;A\x07',
  'device attributes and status': '\x1b[c\x1b[>c\x1b[=c\x1b[5n\x1b[6n\x1b[?6n\x1b[>q\x05\x1bZ\x1b[x',
  'its settings':
    '\x1bP$qm\x1b\\\x1bP$qr\x1b\\\x1bP+q544e\x1b\\\x1b[?2004$p\x1b[4$p\x1b[?u\x1b[14t\x1b[18t\x1b[19t\x1b[11t',
  'a window': '\x1b[8;5;5t\x1b[3;0;0t\x1b[2t\x1b[9;1t',
  'macros, keys and pictures':
    '\x1bP1$r\x1b\\\x1bPq#0;2;0;0;0~\x1b\\\x1bP1|17/6f776e\x1b\\\x1b_Gf=24;AAAA\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\',
  'C1 controls':
    '\u009d0;owned\u009c\u0090$qm\u009c\u009b6n\u009bc\u0098sos\u009c\u009epm\u009c\u009fapc\u009c\u0085\u008d\u0088',
  'C1 controls as bytes': '\x9d52;c;?\x07\x9b6n\x9bc',
  'the mouse, focus, pastes and keys':
    '\x1b[?9h\x1b[?1000h\x1b[?1002h\x1b[?1003h\x1b[?1004h\x1b[?1005h\x1b[?1006h\x1b[?1015h\x1b[?1016h\x1b[?2004h\x1b[>31u\x1b[=31u\x1b[>4;2m\x1b[?1h\x1b=',
  'the cursor, colours and modes': '\x1b[?25l\x1b[5 q\x1b[?5h\x1b[?7l\x1b[4h\x1b[20h\x1b[?69h\x1b[31;45m\x1b(0\x0e',
  'other screens': '\x1b[?1049h\x1b[?47h\x1b[?1047h\x1b[?2026h\x1b[?3h\x1b[?40h',
  'margins and tabs': '\x1b[2;3r\x1b[?6h\x1b[3g\x1b#8\x1b#3',
  'a printer': '\x1b[5i to a printer \x1b[4i\x1b[?5i\x1b[?4i',
  resets: '\x1bc\x1b[!p\x1b[61"p\x1b[62;1"p',
  'directions and what hides': 'a\u202eb\u2066c\u2069\u200bd\ufeffe\u00adf\u{e0041}g\u2028h\u115fi\u061cj',
  'marks without end': `e${'\u0301'.repeat(2_000)}`,
  'a hangup, alarms and blanks': '\x07\x07\x00\x08\x0b\x0c\x7f',
  'what is no UTF-8': '\xff\xfe\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80',
  'numbers without end': `\x1b[${'9'.repeat(400)}A\x1b[${';'.repeat(400)}m\x1b[999999999S\x1b[999999999b\x1b[2147483648L`,
  'a title that does not end': `\x1b]0;${fill(5_000)}`,
  'a device control string that does not end': `\x1bP$q${fill(5_000)}`,
  'an application command that does not end': `\x1b_G${fill(5_000)}`,
  'a sequence that does not end': '\x1b[31;',
}

/** As it comes from a program: what has characters over U+00FF is meant as UTF-8, else each is a byte where the name says so. */
export function hostileBytes(name: string): Buffer {
  const isBytes = name.endsWith('as bytes') || name.endsWith('no UTF-8')
  return Buffer.from(hostileOutput[name] ?? '', isBytes ? 'latin1' : 'utf8')
}
