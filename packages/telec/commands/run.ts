// `telec run`: starts a session with a runner of its own and, unless told otherwise, joins this terminal to it.

import { openSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Client } from '@teleclaude/client/client.ts'
import { detachKey } from '@teleclaude/config/defaults.ts'
import { ensurePrivateDirectory } from '@teleclaude/config/directories.ts'
import { singleUserLayout } from '@teleclaude/config/layout.ts'
import type { Preferences } from '@teleclaude/config/preferences.ts'
import { forProject } from '@teleclaude/config/project-preferences.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import type { TerminalSize } from '@teleclaude/core/session.ts'
import { paint } from '@teleclaude/core/style.ts'
import { statusArguments } from '../agents/status.ts'
import { exitCodes, Failure } from '../failure.ts'
import { loadPreferences, wantsColourOn } from '../preferences.ts'
import { checkProject, chooseProgram, findProject } from '../program.ts'
import type { RunnerTask } from '../runner/runner.ts'
import { startRunner } from '../runner/start.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { exitCodeOf } from '../session/end.ts'
import { attachTerminal, describeDetached } from '../terminal/attach.ts'
import { parseDetachKey } from '../terminal/detach-key.ts'
import { makeTitle } from '../title.ts'

/** Time for an admin to notice a slip and to mend it. */
const refusedGraceMs = 10 * 60_000

export type RunOptions = ServiceOptions & {
  readonly detach?: true
  readonly title?: string
  readonly project?: string
  readonly agent?: string
  readonly mode?: string
}

/** Returns the exit code of the session's program, as a shell would give it. */
export async function run(words: readonly string[], options: RunOptions): Promise<number> {
  const preferences = await loadPreferences(options)
  const cwd = process.cwd()
  const project = options.project === undefined ? findProject(cwd) : checkProject(options.project)
  const preferred = forProject(preferences, project, homedir())
  const program = chooseProgram(words, options, { ...preferred, agents: preferences.agents })
  const colour = await wantsColourOn(process.stderr, options)
  const size = terminalSize()
  const { client, answer } = await withService(options, async (client) => ({
    client,
    answer: await client.createSession({
      project,
      agent: program.agent,
      title: options.title ?? makeTitle(preferred.title, { ...program, project, directory: cwd }),
      argv: [...program.argv],
      terminal: size,
      parent: enclosingSession(process.env),
    }),
  }))
  // The notice precedes the first byte that is recorded, and stays out of what a pipe takes from us.
  process.stderr.write(`${styleNotice(answer.notice, preferences.noticeStyle, colour)}\n`)
  const hooked = { sessionId: answer.session.id, socketPath: client.socketPath }
  const args = preferences.agentStatus === false ? program.argv.slice(1) : statusArguments(program.argv, hooked)
  await start(client, answer.session, { file: program.file, args, cwd, size })
  if (options.detach) {
    process.stdout.write(`${answer.session.id}\n`)
    return 0
  }
  const { id } = answer.session
  const session = await attachTerminal(client, id, parseDetachKey(preferences.detachKey ?? detachKey), {
    from: 'start',
    drive: 'true',
    spool: join(singleUserLayout(homedir()).spoolDir, id),
  })
  if (session !== 'detached') return exitCodeOf(session)
  process.stderr.write(describeDetached(id))
  return 0
}

/** However it looks, it is shown. */
function styleNotice(notice: string, style: Preferences['noticeStyle'], colour: boolean): string {
  return style === undefined || style === 'plain' ? notice : paint(notice, style, colour)
}

async function start(
  client: Client,
  session: SessionView,
  program: Pick<RunnerTask, 'file' | 'args' | 'cwd' | 'size'>,
): Promise<void> {
  const layout = singleUserLayout(homedir())
  for (const directory of [layout.root, layout.logDir, layout.spoolDir]) ensurePrivateDirectory(directory)
  const task: RunnerTask = {
    sessionId: session.id,
    socketPath: client.socketPath,
    spoolDirectory: layout.spoolDir,
    refusedGraceMs,
    ...program,
  }
  const said = await startRunner(task, openSync(join(layout.logDir, 'runner.log'), 'a', 0o600))
  if (said === 'ok') return
  throw new Failure(
    exitCodes.unavailable,
    `cannot start the session: ${said || `its runner ended; see ${layout.logDir}/runner.log`}`,
  )
}

const sessionId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** The session in which this is typed. The variable is anybody's to set: the service looks at whose it is. */
function enclosingSession({ TELECLAUDE_SESSION_ID: id }: NodeJS.ProcessEnv): string | null {
  return id !== undefined && sessionId.test(id) ? id : null
}

function terminalSize(): TerminalSize {
  if (!process.stdout.isTTY) return { cols: 80, rows: 24 }
  const [cols, rows] = process.stdout.getWindowSize()
  // Some terminals say 0 while they are being set up.
  return { cols: cols || 80, rows: rows || 24 }
}
