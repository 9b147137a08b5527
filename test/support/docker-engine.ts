// The Docker engine that the integration suite uses: the machine's where it has one, else one of the run's own, which
// docker-engine.sh starts and ends. Tests find it, and the docker command that fits it, in their environment.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'

const root = join(import.meta.dirname, '../..')
const patienceMs = 20_000
const logTailLines = 40

/** As DOCKER_CONFIG; scripts/test brings a plugin into it where the machine's docker command has no `compose`. */
const dockerCli = join(root, '.runtime/docker-cli')

export type DockerEngine = AsyncDisposable & {
  /** The last words of the run's own engine; empty for the machine's. */
  readLog(): string
}

const machinesEngine: DockerEngine = {
  readLog: () => '',
  async [Symbol.asyncDispose]() {
    // It belongs to whoever started it.
  },
}

/** Sets DOCKER_HOST and what goes with it in the environment of this process, for it and for its children.
 *  @throws Error where there is no engine to be had, saying what to do */
export async function prepareEngine(say: (line: string) => void): Promise<DockerEngine> {
  // Its reaper is one more image to pull; who runs the tests ends what they leave.
  process.env.TESTCONTAINERS_RYUK_DISABLED = 'true'
  const version = useFittingDocker()
  if (version !== null) {
    useBroughtCompose()
    say(`Docker engine ${version}, the machine's`)
    return machinesEngine
  }
  const engine = await startEngine(say)
  say(`Docker engine ${useFittingDocker()}, of this run alone`)
  useBroughtCompose()
  return engine
}

/** The commands that Compose answers to: `docker compose`, `docker-compose`, or both. */
export function composeCommands(): readonly (readonly [string, ...string[]])[] {
  const commands = [['docker', 'compose'], ['docker-compose']] as const
  return commands.filter(([command, ...args]) => ask(command, ...args, 'version') !== null)
}

type StartedEngine = DockerEngine & { readonly host: string }

/** One more engine, without any image, whose containers are in user namespaces: 0 in them is `firstId` here. It is gone with all
 *  that it has when it is disposed of, and no docker command finds it by itself.
 *  @throws Error where there is none to be had */
export function startRemappedEngine(firstId: number, say: (line: string) => void): Promise<StartedEngine> {
  return launchEngine(say, { name: 'docker-remapped', firstId })
}

/** Whether an engine of one's own can be started here. */
export function canStartEngine(): boolean {
  return process.getuid?.() === 0 && missingTools().length === 0
}

function missingTools(): readonly string[] {
  return ['docker', 'dockerd', 'flock', 'ip', 'iptables', 'unshare'].filter((tool) => findOnPath(tool).length === 0)
}

async function startEngine(say: (line: string) => void): Promise<DockerEngine> {
  const engine = await launchEngine(say, { name: 'docker', data: join(root, '.runtime/docker') })
  process.env.DOCKER_HOST = engine.host
  return engine
}

type EngineOptions = {
  /** Of its log. */
  readonly name: string
  /** What outlives it; else nothing does. */
  readonly data?: string
  readonly firstId?: number
}

async function launchEngine(say: (line: string) => void, options: EngineOptions): Promise<StartedEngine> {
  const missing = missingTools()
  if (missing.length > 0) throw new Error(`cannot start a Docker engine: ${missing.join(', ')} missing; ${whatToDo}`)
  if (process.getuid?.() !== 0) throw new Error(`cannot start a Docker engine: only root may; ${whatToDo}`)

  // Short: containerd's socket in it has to have a path of less than 108 bytes.
  const directory = mkdtempSync('/tmp/teleclaude-docker-')
  // Whoever is root in its containers has to get to what it keeps for them.
  if (options.firstId !== undefined) chmodSync(directory, 0o711)
  const { name, data = join(directory, 'data'), firstId = '' } = options
  const log = join(root, `.runtime/${name}-engine.log`)
  mkdirSync(join(root, '.runtime'), { recursive: true })
  say(`Starting a Docker engine (its log: ${log}) ...`)
  const script = join(import.meta.dirname, 'docker-engine.sh')
  // In a session of its own, because Ctrl-C is for whoever runs the tests: the engine hears of it by its standard input.
  const guardian = spawn('/bin/sh', [script, data, directory, log, `${firstId}`], {
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(guardian, 'exit')
  const readLog = () => readFileSync(log, 'utf8').trimEnd().split('\n').slice(-logTailLines).join('\n')

  const { promise: isReady, resolve } = Promise.withResolvers<boolean>()
  const lines = createInterface({ input: guardian.stdout })
  lines.on('line', (line) => (line === 'ready' ? resolve(true) : say(line)))
  lines.on('close', () => resolve(false))
  if (!(await isReady)) throw new Error(`cannot start a Docker engine; ${whatToDo}. It said:\n${readLog()}`)

  return {
    host: `unix://${directory}/docker.sock`,
    readLog,
    async [Symbol.asyncDispose]() {
      guardian.stdin.end()
      const [code] = await exited
      if (code !== 0) throw new Error(`the Docker engine ended with ${code}. It said:\n${readLog()}`)
    },
  }
}

const whatToDo =
  'run scripts/test as root, which installs what is missing on Debian and Ubuntu; or start an engine that you may use ' +
  '(https://docs.docker.com/engine/install/); or leave the container tests out with --fast'

/** Puts the first docker command first on PATH that the engine talks to (a newer one may refuse an older engine), and
 *  returns the engine's version; null where none answers. */
function useFittingDocker(): string | null {
  for (const [index, docker] of findOnPath('docker').entries()) {
    const version = ask(docker, 'version', '--format', '{{.Server.Version}}')
    if (version === null) continue
    if (index > 0) {
      link(docker, join(dockerCli, 'bin/docker'))
      process.env.PATH = [join(dockerCli, 'bin'), process.env.PATH].join(delimiter)
    }
    return version
  }
  return null
}

function useBroughtCompose(): void {
  if (ask('docker', 'compose', 'version') !== null || !existsSync(join(dockerCli, 'cli-plugins/docker-compose'))) return
  const personal = join(process.env.DOCKER_CONFIG ?? join(homedir(), '.docker'), 'config.json')
  if (existsSync(personal)) link(personal, join(dockerCli, 'config.json'))
  process.env.DOCKER_CONFIG = dockerCli
}

function link(target: string, path: string): void {
  mkdirSync(dirname(path), { recursive: true })
  rmSync(path, { force: true })
  symlinkSync(target, path)
}

/** What the command printed, null where it failed. */
function ask(command: string, ...args: readonly string[]): string | null {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8', timeout: patienceMs })
  return status === 0 ? stdout.trim() : null
}

function findOnPath(program: string): string[] {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders.map((folder) => join(folder, program)).filter((path) => existsSync(path))
}
