// telec as other users of the machine run it: from a place that they can read. A checkout under somebody's closed home is
// copied to one that is open, once a process.

import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { telecPath } from './installation.ts'

const root = realpathSync(join(import.meta.dirname, '../..'))

export type OpenCheckout = { readonly node: string; readonly telec: string }

let opened: OpenCheckout | null = null

export function openCheckout(): OpenCheckout {
  opened ??= isOpen({ node: process.execPath, telec: telecPath })
    ? { node: process.execPath, telec: telecPath }
    : copyOpen()
  return opened
}

/** Asked of the kernel, as somebody who owns nothing here. */
function isOpen({ node, telec }: OpenCheckout): boolean {
  const drop = ['--reuid', '60701', '--regid', '60700', '--clear-groups']
  return spawnSync('setpriv', [...drop, node, telec, '--help'], { stdio: 'ignore' }).status === 0
}

function copyOpen(): OpenCheckout {
  const copy = mkdtempSync('/tmp/tc-open-')
  process.on('exit', () => rmSync(copy, { recursive: true, force: true }))
  for (const part of ['package.json', 'packages', 'services', 'node_modules']) {
    cpSync(join(root, part), join(copy, part), { recursive: true, verbatimSymlinks: true })
  }
  mkdirSync(join(copy, 'bin'))
  copyFileSync(process.execPath, join(copy, 'bin/node'))
  execFileSync('chmod', ['-R', 'a+rX', copy])
  chmodSync(join(copy, 'bin/node'), 0o755)
  return { node: join(copy, 'bin/node'), telec: join(copy, 'packages/telec/bin/telec.mjs') }
}
