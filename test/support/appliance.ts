// An appliance of a test's own: the images as the engine builds them, started by testcontainers with the settings of
// compose/compose.yaml, on a shared directory, accounts and configuration of its own. Used from outside, as people do.

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { SessionPage } from '@teleclaude/core/api.ts'
import type { Container } from 'dockerode'
import {
  GenericContainer,
  getContainerRuntimeClient,
  type StartedTestContainer,
  type WaitStrategy,
} from 'testcontainers'
import { type ComposeService, parseBytes, parseSeconds, readComposeFile, type ServiceName } from './compose-file.ts'
import type { Ran } from './installation.ts'
import { openCheckout } from './open-checkout.ts'

const root = join(import.meta.dirname, '../..')
const pollMs = 50
const gid = 60700

/** Accounts of the appliance's host, as its /etc has them, and somebody who has none. */
export const uids = { root: 0, alice: 30001, bob: 30002, carol: 30003, stranger: 30999 } as const
export type User = keyof typeof uids

const passwd = ['root', 'alice', 'bob', 'carol'] as const

export type CurlAnswer = { readonly code: number; readonly head: string; readonly body: string }

export type ApplianceOptions = {
  /** Of compose/config.yml; the one that is shipped where it is left out, none where it is null. */
  readonly config?: string | null
  /** Of compose/.env. */
  readonly env?: Readonly<Record<string, string>>
  /** Size of a database volume in memory, instead of one on the disk. */
  readonly databaseBytes?: number
}

/** Ready when the engine has started it: what it is up to by then is the test's to wait for. */
export const started = {
  async waitUntilReady() {
    // Nothing to wait for.
  },
  withStartupTimeout: () => started,
  isStartupTimeoutSet: () => true,
  getStartupTimeout: () => 60_000,
} satisfies WaitStrategy as WaitStrategy

/** What testcontainers has no words for goes to the engine as it is. */
class ServiceContainer extends GenericContainer {
  constructor(
    image: string,
    service: ComposeService,
    binds: readonly string[],
    tmpfs: Readonly<Record<string, string>>,
  ) {
    super(image)
    this.withNetworkMode(service.network_mode)
      .withDroppedCapabilities(...service.cap_drop)
      .withAddedCapabilities(...service.cap_add)
      .withSecurityOpt(...service.security_opt)
      .withEnvironment(service.environment)
      .withTmpFs(tmpfs)
      .withWaitStrategy(started)
      .withAutoRemove(false)
    if (service.user !== undefined) this.withUser(service.user)
    if (service.shm_size !== undefined) this.withSharedMemorySize(parseBytes(service.shm_size))
    Object.assign(this.hostConfig, {
      Binds: [...binds],
      ReadonlyRootfs: service.read_only,
      Memory: parseBytes(service.mem_limit),
      PidsLimit: service.pids_limit,
      RestartPolicy: { Name: service.restart },
      LogConfig: { Type: service.logging.driver, Config: service.logging.options },
    })
    const { healthcheck } = service
    if (healthcheck !== undefined) {
      Object.assign(this.createOpts, {
        Healthcheck: {
          Test: [...healthcheck.test],
          // Asked more often than by Compose, so that tests need not wait.
          Interval: 1e9,
          Timeout: parseSeconds(healthcheck.timeout) * 1e9,
          StartPeriod: parseSeconds(healthcheck.start_period) * 1e9,
        },
      })
    }
    if (service.stop_signal !== undefined) Object.assign(this.createOpts, { StopSignal: service.stop_signal })
  }
}

export class Appliance implements AsyncDisposable {
  readonly directory: string
  readonly runDir: string
  readonly socket: string
  readonly #project: string
  readonly #services: Readonly<Record<ServiceName, ComposeService>>
  readonly #options: ApplianceOptions
  readonly #containers = new Map<ServiceName, StartedTestContainer>()
  readonly #clients = new Set<ChildProcess>()

  private constructor(options: ApplianceOptions) {
    // Others have to reach their homes in it, and the engine the rest.
    this.directory = mkdtempSync('/tmp/tca-')
    chmodSync(this.directory, 0o755)
    this.runDir = join(this.directory, 'run')
    this.socket = join(this.runDir, 'api.sock')
    this.#project = `tca-${randomBytes(4).toString('hex')}`
    this.#services = readComposeFile({ TELECLAUDE_RUN_DIR: this.runDir })
    this.#options = options
    const etc = join(this.directory, 'etc')
    mkdirSync(etc)
    const accounts = passwd.map((name) => `${name}:x:${uids[name]}:${uids[name]}::/nonexistent:/bin/sh\n`)
    writeFileSync(join(etc, 'passwd'), accounts.join(''))
    writeFileSync(join(etc, 'group'), 'root:x:0:\n')
    writeFileSync(join(etc, 'hostname'), `${this.host}\n`)
    const configuration = join(this.directory, 'compose')
    mkdirSync(configuration)
    if (options.config === undefined) copyFileSync(join(root, 'compose/config.yml'), this.configFile)
    else if (options.config !== null) writeFileSync(this.configFile, options.config)
    const env = { TELECLAUDE_ADMIN_UID: String(uids.carol), ...options.env }
    const lines = Object.entries(env).map(([name, value]) => `${name}=${value}\n`)
    writeFileSync(join(configuration, '.env'), lines.join(''))
  }

  /** One that is ready. */
  static async start(options: ApplianceOptions = {}): Promise<Appliance> {
    const appliance = new Appliance(options)
    try {
      await appliance.startUpTo('auditor')
      await appliance.untilReady()
      return appliance
    } catch (error) {
      await appliance[Symbol.asyncDispose]()
      throw error
    }
  }

  /** An appliance of which nothing runs yet. */
  static prepare(options: ApplianceOptions = {}): Appliance {
    return new Appliance(options)
  }

  /** All at once, as after a boot; but the migrator has to succeed before the api and the auditor start. */
  async startUpTo(last: 'migrator' | 'auditor'): Promise<void> {
    await Promise.all((['run-directory', 'postgres', 'migrator'] as const).map((name) => this.startService(name)))
    const { StatusCode } = (await (await this.container('migrator')).wait()) as { StatusCode: number }
    if (StatusCode !== 0) throw new Error(`the migrator ended with ${StatusCode}:\n${await this.logs('migrator')}`)
    if (last === 'auditor') await Promise.all([this.startService('api'), this.startService('auditor')])
  }

  get host(): string {
    return 'build-1'
  }

  get configFile(): string {
    return join(this.directory, 'compose/config.yml')
  }

  get etc(): string {
    return join(this.directory, 'etc')
  }

  image(name: ServiceName): string {
    return this.#services[name].image
  }

  /** A service's container, started anew from its image: the one before, if there is any, is removed. */
  async startService(name: ServiceName): Promise<void> {
    await this.#containers.get(name)?.stop({ remove: true, timeout: 10_000 })
    this.#containers.set(name, await this.define(name).start())
  }

  /** Runs a service's image with a command of its own, beside whatever runs, to its end. */
  run(name: ServiceName, command: readonly string[], image = this.image(name)): Promise<Output> {
    return containerOutput(this.define(name, { image, restart: false }), command)
  }

  define(name: ServiceName, { image = this.image(name), restart = true } = {}): GenericContainer {
    const service: ComposeService = { ...this.#services[name], ...(restart ? {} : { restart: 'no' }) }
    const { databaseBytes } = this.#options
    const tmpfs = Object.fromEntries(service.tmpfs.map((path) => [path, '']))
    const binds: string[] = []
    for (const volume of service.volumes) {
      const [source = '', target = '', mode] = volume.split(':')
      const own = { './': join(this.directory, 'compose'), '/etc': this.etc }[source]
      if (source === 'database' && databaseBytes !== undefined) {
        tmpfs[target] = `size=${databaseBytes},uid=60704,gid=${gid},mode=0700`
      } else {
        const from = own ?? (source.startsWith('/') ? source : `${this.#project}_${source}`)
        binds.push([from, target, mode].filter((part) => part !== undefined).join(':'))
      }
    }
    return new ServiceContainer(image, service, binds, tmpfs)
  }

  async container(name: ServiceName): Promise<Container> {
    const known = this.#containers.get(name)
    if (known === undefined) throw new Error(`the service ${name} was not started`)
    return containerOf(known)
  }

  /** Runs a command in a service's container, as the given uid. */
  async exec(name: ServiceName, uid: number | null, ...command: readonly string[]): Promise<Ran> {
    const known = this.#containers.get(name)
    if (known === undefined) throw new Error(`the service ${name} was not started`)
    const user = uid === null ? {} : { user: `${uid}:${gid}` }
    const { exitCode, stdout, stderr } = await known.exec([...command], user)
    return { code: exitCode, stdout: Buffer.from(stdout), stderr }
  }

  /** Kills the container by its engine, which then leaves it down: as a power cut does. */
  async kill(name: ServiceName): Promise<void> {
    await (await this.container(name)).kill({ signal: 'SIGKILL' })
  }

  /** As `docker compose kill -s` does. */
  async signal(name: ServiceName, signal: 'SIGHUP'): Promise<void> {
    await (await this.container(name)).kill({ signal })
  }

  async killIfRunning(name: ServiceName): Promise<void> {
    const { State } = await (await this.container(name)).inspect()
    if (State.Running) await this.kill(name)
  }

  /** Kills the service's first process, which the engine then starts again. */
  async killInside(name: ServiceName): Promise<void> {
    const { State } = await (await this.container(name)).inspect()
    process.kill(State.Pid, 'SIGKILL')
  }

  async stopService(name: ServiceName): Promise<void> {
    await (await this.container(name)).stop({ t: 20 })
  }

  /** Starts the container that is there, as the engine does after a boot. */
  async startAgain(name: ServiceName): Promise<void> {
    await (await this.container(name)).start()
  }

  /** Runs a script as root on a service's volumes, beside the service. */
  asRoot(name: ServiceName, script: string): Promise<Output> {
    const container = this.define(name, { restart: false }).withUser('0:0').withEntrypoint(['/bin/sh', '-c'])
    return containerOutput(container.withAddedCapabilities('CHOWN', 'DAC_OVERRIDE', 'FOWNER'), [script])
  }

  async logs(name: ServiceName): Promise<string> {
    return logsOf(await this.container(name))
  }

  /** As the engine's health check has it. */
  async untilHealth(name: ServiceName, wanted: 'healthy' | 'unhealthy'): Promise<void> {
    const container = await this.container(name)
    while ((await container.inspect()).State.Health?.Status !== wanted) await delay(pollMs)
  }

  async untilHealthy(...names: readonly ServiceName[]): Promise<void> {
    for (const name of names) await this.untilHealth(name, 'healthy')
  }

  /** Waits until the user's newest session has so many bytes recorded. */
  async untilTranscript(user: User, bytes: number): Promise<void> {
    for (;;) {
      const { code, body } = await this.curl('/v1/sessions?limit=1', user)
      if (code === 200) {
        const [session] = (JSON.parse(body) as SessionPage).sessions
        if (session?.status === 'running' && session.transcriptBytes >= bytes) return
      }
      await delay(pollMs)
    }
  }

  /** Waits for a word in a service's log; the caller's test has a time limit. */
  async untilLog(name: ServiceName, wanted: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = wanted.exec(await this.logs(name))
      if (match !== null) return match
      await delay(pollMs)
    }
  }

  /** Waits until the API answers that it is ready. */
  async untilReady(): Promise<void> {
    for (;;) {
      const { code } = await this.curl('/readyz', 'root')
      if (code === 200) return
      await delay(pollMs)
    }
  }

  /** One request over the shared directory's socket by a process of that user; code 0 where nobody answers. */
  async curl(path: string, user: User | number, headers: readonly string[] = []): Promise<CurlAnswer> {
    const options = ['--silent', '--include', '--max-time', '60', '--unix-socket', this.socket]
    const { stdout } = await this.#spawn(user, 'curl', [
      ...options,
      ...headers.flatMap((header) => ['--header', header]),
      `http://localhost${path}`,
    ])
    const [head = '', ...body] = stdout.toString('utf8').split('\r\n\r\n')
    return { code: Number(head.split(' ')[1] ?? 0), head, body: body.join('\r\n\r\n') }
  }

  /** `telec`, as a user of the host. */
  telec(user: User | number, args: readonly string[]): Promise<Ran> {
    const { node, telec } = openCheckout()
    return this.#spawn(user, node, [telec, '--socket', this.socket, ...args])
  }

  async json<T>(user: User | number, args: readonly string[]): Promise<T> {
    const { stdout, stderr, code } = await this.telec(user, [...args, '--json'])
    if (code !== 0) throw new Error(`telec ${args.join(' ')} ended with ${code}: ${stderr}`)
    return JSON.parse(stdout.toString('utf8')) as T
  }

  async #spawn(user: User | number, command: string, args: readonly string[]): Promise<Ran> {
    const uid = typeof user === 'number' ? user : uids[user]
    const home = join(this.directory, `home-${uid}`)
    mkdirSync(home, { recursive: true, mode: 0o700 })
    chownSync(home, uid, uid)
    const env = {
      PATH: process.env.PATH,
      HOME: home,
      SHELL: '/bin/sh',
      LC_ALL: 'C.UTF-8',
      TELECLAUDE_TEST_RUN: process.env.TELECLAUDE_TEST_RUN,
    }
    const drop = ['--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups', command]
    const child = spawn('setpriv', [...drop, ...args], { env, cwd: home, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#clients.add(child)
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (part: Buffer) => out.push(part))
    child.stderr.on('data', (part: Buffer) => err.push(part))
    const [code] = (await once(child, 'close')) as [number | null]
    this.#clients.delete(child)
    return { code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString('utf8') }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#clients) child.kill('SIGKILL')
    await Promise.all([...this.#containers.values()].map((container) => container.stop({ remove: true, timeout: 0 })))
    const { dockerode } = (await getContainerRuntimeClient()).container
    // Typed, because the engine's own types of these are no promises to the linter.
    const listing: Promise<{ Volumes: { Name: string }[] }> = dockerode.listVolumes({
      filters: { name: [this.#project] },
    })
    for (const { Name } of (await listing).Volumes) {
      const removed: Promise<unknown> = dockerode.getVolume(Name).remove({ force: true })
      await removed
    }
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export type Output = { readonly code: number; readonly text: string }

/** Runs a container to its end and removes it. */
export async function containerOutput(container: GenericContainer, command: readonly string[]): Promise<Output> {
  const running = await container
    .withCommand([...command])
    .withWaitStrategy(started)
    .withAutoRemove(false)
    .start()
  const handle = await containerOf(running)
  const { StatusCode: code } = (await handle.wait()) as { StatusCode: number }
  const text = await logsOf(handle)
  await running.stop({ remove: true })
  return { code, text }
}

async function containerOf(started: StartedTestContainer): Promise<Container> {
  return (await getContainerRuntimeClient()).container.getById(started.getId())
}

/** Both streams, without the frames that the engine puts around them (Docker Engine API, "Stream format"). */
async function logsOf(container: Container): Promise<string> {
  const framed = await container.logs({ stdout: true, stderr: true })
  const parts: Buffer[] = []
  for (let at = 0; at + 8 <= framed.length; ) {
    const length = framed.readUInt32BE(at + 4)
    parts.push(framed.subarray(at + 8, at + 8 + length))
    at += 8 + length
  }
  return Buffer.concat(parts).toString('utf8')
}
