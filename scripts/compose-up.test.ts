// What scripts/compose-up refuses before it does anything. The engines that it has to refuse can't all run here, so their
// answers come from a program in the place of `docker`; with a real engine it runs in test/integration/compose.test.ts.

import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { copyCheckout, pathWithOnly, type Ran, runCommand } from '../test/support/checkout.ts'

type Machine = {
  /** What `docker info` prints. */
  readonly info: string
  /** What `docker version` says on standard error where it reaches no engine. */
  readonly refusal?: string
  /** Shell scripts in the place of programs; null for one that is not there. */
  readonly programs?: Readonly<Record<string, string | null>>
  readonly prepare?: (checkout: string, runDir: string) => Promise<void>
}

const linux = 'Debian GNU/Linux 12 (bookworm) ["name=seccomp,profile=default","name=cgroupns"]'

async function composeUp(t: TestContext, machine: Machine): Promise<Ran & { readonly checkout: string }> {
  const checkout = await copyCheckout(t, 'scripts', 'compose')
  const runDir = join(dirname(checkout), 'run')
  const path = await pathWithOnly(checkout, {
    ...Object.fromEntries(['cat', 'dirname', 'id', 'ls', 'mv', 'sh', 'tail'].map((name) => [name, `/usr/bin/${name}`])),
  })
  const version = machine.refusal === undefined ? 'echo 28.0.0' : `echo '${machine.refusal}' >&2; exit 1`
  const programs = {
    docker: `case $1 in version) ${version} ;; info) echo '${machine.info}' ;; *) exit 1 ;; esac`,
    'docker-compose': 'exit 1',
    uname: 'echo Linux',
    getent: 'exit 2',
    hostname: 'echo build-1',
    ...machine.programs,
  }
  for (const [name, script] of Object.entries(programs)) {
    if (script !== null) await writeFile(join(path, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
  }
  await machine.prepare?.(checkout, runDir)
  const env = { PATH: path, TELECLAUDE_RUN_DIR: runDir, SUDO_UID: '', HOME: dirname(checkout) }
  const ran = await runCommand(join(checkout, 'scripts/compose-up'), [], { env })
  return { ...ran, checkout }
}

const refusals: readonly (Machine & { readonly what: string; readonly says: RegExp })[] = [
  {
    what: 'macOS',
    info: linux,
    programs: { uname: 'echo Darwin' },
    says: /on macOS: .* does not say who calls\.\nUse scripts\/start for yourself alone\./,
  },
  {
    what: 'Docker Desktop',
    info: 'Docker Desktop ["name=seccomp,profile=unconfined","name=cgroupns"]',
    says: /in Docker Desktop: .*\nUse Docker Engine/,
  },
  {
    what: 'rootless Docker',
    info: 'Ubuntu 24.04 ["name=seccomp,profile=builtin","name=rootless","name=cgroupns"]',
    says: /with rootless Docker: .*\nUse the system's Docker engine/,
  },
  {
    what: 'remapped user namespaces',
    info: 'Ubuntu 24.04 ["name=seccomp,profile=builtin","name=userns"]',
    says: /\(userns-remap\): .*\nTake userns-remap out of/,
  },
  {
    what: 'an engine that does not run',
    info: linux,
    refusal: 'Cannot connect to the Docker daemon',
    says: /cannot reach the Docker engine: Cannot connect.*\nStart it: sudo systemctl start docker/,
  },
  {
    what: 'a caller who may not use the engine',
    info: linux,
    refusal: 'permission denied while trying to connect to the Docker daemon socket',
    says: /you may not use its socket\.\nRun this with sudo/,
  },
  {
    what: 'a machine without Compose',
    info: linux,
    programs: { 'docker-compose': null },
    says: /Docker Compose is missing\.\nInstall the plugin/,
  },
  {
    what: 'an account that has one of the uids of the containers',
    info: linux,
    programs: { getent: 'case $2 in 60702) echo "mallory:x:60702:60702::/home/mallory:/bin/sh" ;; *) exit 2 ;; esac' },
    says: /uid 60702, which one of its containers uses, belongs to mallory on this machine\.\nGive that account another uid/,
  },
  {
    what: 'a file where the shared directory should be',
    info: linux,
    prepare: (_checkout, runDir) => writeFile(runDir, ''),
    says: /it is not a directory\.\nMove it out of the way: sudo mv /,
  },
  {
    what: "a directory at the socket's path",
    info: linux,
    prepare: async (_checkout, runDir) => {
      await mkdir(join(runDir, 'api.sock'), { recursive: true })
    },
    says: /api\.sock: something else than a socket is there\.\nMove it out of the way: sudo mv /,
  },
  {
    what: 'a configuration that the services can not read',
    info: linux,
    prepare: (checkout) => chmod(join(checkout, 'compose/config.yml'), 0o600),
    says: /config\.yml: the services' own users can't read it\.\nLet them: chmod o\+rX /,
  },
]

for (const { what, says, ...machine } of refusals) {
  test(`refuses ${what}, and says what to do`, async (t) => {
    const { code, stderr } = await composeUp(t, machine)
    assert.match(stderr, says)
    assert.equal(code, 69)
  })
}

test('writes down the caller as the first admin, and leaves that alone once it is there', async (t) => {
  const closeConfig = (checkout: string) => chmod(join(checkout, 'compose/config.yml'), 0o600)
  const { checkout, stderr } = await composeUp(t, { info: linux, prepare: closeConfig })
  assert.match(stderr, /Wrote compose\/\.env: uid \d+ is the first admin\./)
  const env = join(checkout, 'compose/.env')
  assert.match(
    readFileSync(env, 'utf8'),
    new RegExp(`^TELECLAUDE_ADMIN_UID=${process.getuid?.()}\nTELECLAUDE_HOST=build-1$`, 'm'),
  )
  assert.equal(statSync(env).mode & 0o777, 0o644)

  const kept = await composeUp(t, {
    info: linux,
    prepare: async (directory) => {
      await closeConfig(directory)
      await writeFile(join(directory, 'compose/.env'), 'TELECLAUDE_ADMIN_UID=4711\n')
    },
  })
  assert.doesNotMatch(kept.stderr, /Wrote/)
  assert.equal(readFileSync(join(kept.checkout, 'compose/.env'), 'utf8'), 'TELECLAUDE_ADMIN_UID=4711\n')
})
