// A real terminal with a shell in it: tmux, with a server of its own. Its keys are pressed and its screen is read as a
// person would.

import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { TerminalSize } from '@teleclaude/core/session.ts'
import { type Installation, telecPath } from './installation.ts'

const execute = promisify(execFile)

const patienceMs = 15_000
const pollMs = 20

export class Terminal implements AsyncDisposable {
  readonly #socket: string
  readonly #env: NodeJS.ProcessEnv

  private constructor(socket: string, env: NodeJS.ProcessEnv) {
    this.#socket = socket
    this.#env = env
  }

  /** A shell that waits at the prompt `outside>`, in the installation's home, with `telec` on its path. */
  static async open(own: Installation, { cols, rows }: TerminalSize = { cols: 100, rows: 30 }): Promise<Terminal> {
    const bin = join(own.home, 'terminal-bin')
    mkdirSync(bin, { recursive: true })
    writeFileSync(join(bin, 'telec'), `#!/bin/sh\nexec '${process.execPath}' '${telecPath}' "$@"\n`, { mode: 0o755 })
    const terminal = new Terminal(join(mkdtempSync(join(own.home, 'tmux-')), 'socket'), {
      ...own.env,
      PATH: `${bin}:${own.env.PATH}`,
      LC_ALL: 'C.UTF-8',
      LESS: '',
      HISTFILE: '',
      PS1: 'outside> ',
    })
    const size = ['-x', `${cols}`, '-y', `${rows}`]
    await terminal.#tmux('new-session', '-d', '-c', own.home, ...size, 'bash', '--norc', '--noprofile', '-i')
    await terminal.until(/^outside>$/m)
    return terminal
  }

  async #tmux(...args: readonly string[]): Promise<string> {
    const { stdout } = await execute('tmux', ['-u', '-f', '/dev/null', '-S', this.#socket, ...args], { env: this.#env })
    return stdout
  }

  /** Types the text and Enter. */
  async enter(text: string): Promise<void> {
    await this.type(text)
    await this.press('Enter')
  }

  async type(text: string): Promise<void> {
    await this.#tmux('send-keys', '-l', '--', text)
  }

  /** Keys as tmux names them: `C-c`, `Escape`. */
  async press(key: string): Promise<void> {
    await this.#tmux('send-keys', key)
  }

  async resize({ cols, rows }: TerminalSize): Promise<void> {
    await this.#tmux('resize-window', '-x', `${cols}`, '-y', `${rows}`)
  }

  /** What is on the screen now: no scrollback, no blank lines at the end; colours only when asked for. */
  async screen(options: { readonly colours?: true } = {}): Promise<string> {
    return (await this.#tmux('capture-pane', '-p', ...(options.colours ? ['-e'] : []))).trimEnd()
  }

  /** What has scrolled off, and what is on the screen. */
  async history(): Promise<string> {
    return (await this.#tmux('capture-pane', '-p', '-S', '-')).trimEnd()
  }

  async showsAlternateScreen(): Promise<boolean> {
    return (await this.#tmux('display-message', '-p', '#{alternate_on}')).trim() === '1'
  }

  /** What programs have switched on in the terminal: the mouse, a hidden cursor, the keypad and the cursor keys. */
  async hasDefaultModes(): Promise<boolean> {
    const flags = '#{mouse_any_flag}#{cursor_flag}#{keypad_flag}#{keypad_cursor_flag}'
    return (await this.#tmux('display-message', '-p', flags)).trim() === '0100'
  }

  /** The settings of the terminal's line discipline, as words: `icanon` or `-icanon`. */
  async modes(): Promise<Set<string>> {
    const device = (await this.#tmux('display-message', '-p', '#{pane_tty}')).trim()
    return new Set((await execute('stty', ['-a', '-F', device])).stdout.split(/[\s;]+/))
  }

  /** Keeps what is sent to this terminal from now on; the function given reads it once it has the text to wait for. */
  async record(): Promise<(awaited: string) => Promise<string>> {
    const path = `${this.#socket}.received`
    await this.#tmux('pipe-pane', `exec cat >'${path}'`)
    return async (awaited) => {
      for (const startMs = performance.now(); ; await delay(pollMs)) {
        const received = existsSync(path) ? readFileSync(path, 'utf8') : ''
        if (received.includes(awaited)) return received
        if (performance.now() - startMs > patienceMs) throw new Error(`the terminal did not receive ${awaited}`)
      }
    }
  }

  /** Waits until the screen has what is looked for, and gives what matched.
   *  @throws Error with the screen when it stays away */
  async until(wanted: RegExp): Promise<RegExpExecArray> {
    for (const startMs = performance.now(); ; await delay(pollMs)) {
      const screen = await this.screen()
      const match = wanted.exec(screen)
      if (match !== null) return match
      if (performance.now() - startMs > patienceMs) throw new Error(`the terminal does not show ${wanted}:\n${screen}`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#tmux('kill-server')
  }
}
