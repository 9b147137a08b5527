// `telec doctor`: looks at the whole installation, changes nothing, and says how to mend what is wrong.

import { homedir } from 'node:os'
import { ConfigError } from '@teleclaude/config/config-error.ts'
import { findSocket, singleUserLayout } from '@teleclaude/config/layout.ts'
import { paint, wantsColour } from '@teleclaude/core/style.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { checkDaemon } from '../doctor/daemon.ts'
import { type Finding, ok } from '../doctor/finding.ts'
import { checkLogout } from '../doctor/logout.ts'
import { checkCommandPath, checkMachine } from '../doctor/machine.ts'
import { checkRunnerState, checkState, settingsCheck } from '../doctor/state.ts'
import { exitCodes, Failure } from '../failure.ts'
import { wantsColourOn } from '../preferences.ts'
import type { ServiceOptions } from '../service.ts'

const styles = { ok: 'green', warn: 'yellow', fail: 'red' } as const

type DoctorOptions = ServiceOptions & { readonly json: boolean; readonly isolation: boolean }

/** Returns the exit code: 0 where nothing failed. */
export async function doctor(options: DoctorOptions): Promise<number> {
  const findings = await (options.isolation ? examineIsolation(options) : examine(options))
  const failed = findings.filter((finding) => finding.state === 'fail')
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ ok: failed.length === 0, findings })}\n`
      : format(findings, await wantsColourAnyway(options)),
  )
  if (failed.length === 0) return 0
  return failed.some((finding) => finding.check === settingsCheck) ? exitCodes.config : exitCodes.unavailable
}

async function examine(options: ServiceOptions): Promise<readonly Finding[]> {
  const home = homedir()
  const layout = singleUserLayout(home)
  const found = findSocket({ flag: options.socket, env: process.env, home })
  const machine = await checkMachine(home)
  const daemon = await checkDaemon(found, layout)
  const state = daemon.isSystem
    ? checkRunnerState(layout)
    : [checkCommandPath(home, process.env.PATH ?? ''), ...checkState(layout, process.env)]
  const mode = ok(
    'mode',
    `${daemon.isSystem ? 'system' : 'single-user'} mode: the socket is ${found.path} (${found.origin})`,
  )
  return [...machine, mode, ...(await checkLogout(process.env)), ...state, ...daemon.findings]
}

/** @throws Failure for everybody but root */
async function examineIsolation(options: ServiceOptions): Promise<readonly Finding[]> {
  if (process.getuid?.() !== 0) {
    const what = 'cannot show isolation: it takes root to become somebody else'
    throw new Failure(exitCodes.notPermitted, `${what}\nRun it as root: sudo telec doctor --isolation`)
  }
  const home = homedir()
  const found = findSocket({ flag: options.socket, env: process.env, home })
  const { checkInstallationIsolation } = await import('../doctor/isolation/isolation.ts')
  return checkInstallationIsolation(found, singleUserLayout(home))
}

/** A personal file that is wrong is something to say, and no reason to say nothing. */
async function wantsColourAnyway(options: ServiceOptions): Promise<boolean> {
  try {
    return await wantsColourOn(process.stdout, options)
  } catch (error) {
    if (error instanceof ConfigError) return wantsColour(process.stdout, process.env)
    throw error
  }
}

function format(findings: readonly Finding[], colour: boolean): string {
  const width = Math.max(...findings.map((finding) => finding.check.length))
  const lines = findings.map(({ check, state, what, mend }) => {
    const label = paint(state.padEnd(4), styles[state], colour)
    const line = `${label}  ${check.padEnd(width)}  ${neutralise(what)}\n`
    return mend === null ? line : `${line}${' '.repeat(width + 8)}mend: ${neutralise(mend)}\n`
  })
  const count = (state: Finding['state']) => findings.filter((finding) => finding.state === state).length
  return `${lines.join('')}${count('ok')} ok, ${count('warn')} to look at, ${count('fail')} failed\n`
}
