// Links telec to this checkout's launcher: ~/.local/bin/telec, and /usr/local/bin/telec for `link-telec.ts --system`, which
// takes root. Never touches a file there that it does not know.

import { lstatSync, mkdirSync, readlinkSync, symlinkSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'

const launcher = join(import.meta.dirname, '../bin/telec')
const isForAll = process.argv.includes('--system') && process.getuid?.() === 0
const link = isForAll ? '/usr/local/bin/telec' : join(homedir(), '.local/bin/telec')

/** Makes the link unless something is there; says what is in the way, if anything. */
function linkTelec(): { readonly made: boolean; readonly inTheWay: string | null } {
  const present = lstatSync(link, { throwIfNoEntry: false })
  if (present === undefined) {
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(launcher, link)
    return { made: true, inTheWay: null }
  }
  const target = present.isSymbolicLink() ? readlinkSync(link) : null
  if (target === launcher) return { made: false, inTheWay: null }
  return { made: false, inTheWay: target === null ? 'another program is there' : `it leads to ${target}` }
}

try {
  const { made, inTheWay } = linkTelec()
  if (made) console.log(`Linked ${link} to ${launcher}`)
  if (inTheWay !== null) {
    console.log(`Left ${link} as it is: ${inTheWay}. Remove it and run this again, or use ${launcher}`)
  } else if (!(process.env.PATH ?? '').split(delimiter).includes(dirname(link))) {
    console.log(
      `To call it as telec, put this into your shell's profile: export PATH="${isForAll ? dirname(link) : '$HOME/.local/bin'}:$PATH"`,
    )
  }
} catch (error) {
  // Without the link everything works all the same, by the launcher's full path.
  console.log(`cannot link ${link}: ${error instanceof Error ? error.message : error}. Use ${launcher}`)
}
