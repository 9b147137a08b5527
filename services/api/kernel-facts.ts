// Whether what the kernel says of callers means here what it means on the machine. Where it does not, system mode does not
// start: a wrong identity is worse than none.

import { readFileSync } from 'node:fs'
import { release } from 'node:os'
import { osUserOf } from '@teleclaude/peercred/os-user.ts'

export class UnsafeError extends Error {
  override readonly name = 'UnsafeError'
  readonly code = 'unsafe'
  /** EX_CONFIG of sysexits(3). */
  readonly exitCode = 78
}

export type KernelFacts = {
  /** Contents of uid_map and gid_map (user_namespaces(7)); null where the kernel has no user namespaces. */
  readonly idMaps: readonly string[] | null
  readonly release: string
  readonly uid: number
  /** The account of that uid on this machine. */
  readonly account: string | null
}

/** @throws PeerError where accounts can't be looked up */
export function readKernelFacts(): KernelFacts {
  const uid = process.getuid?.() ?? -1
  const idMaps =
    process.platform === 'linux' ? ['uid', 'gid'].map((kind) => readFileSync(`/proc/self/${kind}_map`, 'ascii')) : null
  return { idMaps, release: release(), uid, account: osUserOf(uid) }
}

const ownUse = 'For yourself alone, run scripts/start.'

/** @throws UnsafeError with what to do instead */
export function refuseUnsafe({ idMaps, release, uid, account }: KernelFacts): void {
  const isIdentity = (map: string) => map.trim().split(/\s+/).join(' ') === '0 0 4294967295'
  if (idMaps?.every(isIdentity) === false) {
    throw new UnsafeError(
      'cannot start: this process is in a user namespace, where uids are not those of the machine and its users look alike. ' +
        "With Docker, use the system's engine, not rootless, and without userns-remap (/etc/docker/daemon.json). " +
        ownUse,
    )
  }
  if (/linuxkit/i.test(release)) {
    throw new UnsafeError(
      `cannot start: this is the kernel of a virtual machine of Docker Desktop (${release}), and a socket that crosses into it does ` +
        `not say who calls. Use Docker Engine on Linux itself. ${ownUse}`,
    )
  }
  if (uid === 0) {
    throw new UnsafeError(
      'cannot start as root: nothing here needs it. Run it as the user teleclaude; the appliance has a uid of its own for it.',
    )
  }
  if (account !== null && !/^_?teleclaude/.test(account)) {
    throw new UnsafeError(
      `cannot start as uid ${uid}: on this machine that is the account ${account}, who could then act as this service. Give that ` +
        'account another uid, or run this as a user that is named teleclaude.',
    )
  }
}
