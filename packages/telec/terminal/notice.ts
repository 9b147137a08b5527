// A word to the person in front of a terminal that a session's program draws on.

import type { TerminalSize } from '@teleclaude/core/session.ts'
import { neutralise, truncate } from '@teleclaude/core/terminal-text.ts'

/** The text in reverse video on the last row, and the cursor, pen and modes as they were (DECSC and DECRC, ECMA-48 and
 *  https://invisible-island.net/xterm/ctlseqs/ctlseqs.html). It stands in the way of what is there, and the saved cursor is its own:
 *  the screen has to be shown anew afterwards. */
export function drawNotice(text: string, { cols, rows }: TerminalSize): string {
  // Rows are counted from a region's first one in origin mode, and letters may be lines just now.
  const atLastRow = `\x1b[?6l\x1b(B\x0f\x1b[${rows};1H`
  // Erased in the plain pen: what a terminal makes of the rest of a row in reverse video differs.
  return `\x1b7${atLastRow}\x1b[0m\x1b[2K\x1b[7m${truncate(` ${neutralise(text)} `, cols)}\x1b[0m\x1b8`
}
