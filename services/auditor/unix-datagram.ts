// Sending to a Unix datagram socket, which Node has no way to: /dev/log is one on most machines (unix(7), send(2)).

import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { setTimeout as wait } from 'node:timers/promises'
import { getSystemErrorName } from 'node:util'

const isMac = process.platform === 'darwin'

// sys/socket.h and sys/un.h, which differ.
const afUnix = 1
const sockDgram = 2
const sockCloexecNonblock = isMac ? 0 : 0o2_004_000
const msgDontwaitNosignal = isMac ? 0x8_0080 : 0x4040
const pathBytes = isMac ? 104 : 108

/** How often a receiver that is busy is asked again. */
const busyPauseMs = 20
const busy = [constants.errno.EAGAIN, constants.errno.ENOBUFS]

type Libc = {
  socket(domain: number, type: number, protocol: number): number
  connect(fd: number, address: Uint8Array, length: number): number
  send(fd: number, bytes: Uint8Array, length: number, flags: number): number
  close(fd: number): number
  errno(): number
}

let prepared: Libc | undefined

function libc(): Libc {
  if (prepared !== undefined) return prepared
  const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi')
  // Node itself is linked against the C library, under whatever name that has here.
  const library = koffi.load(null)
  prepared = {
    socket: library.func('int socket(int, int, int)'),
    connect: library.func('int connect(int, void *, uint32_t)'),
    send: library.func('intptr_t send(int, void *, size_t, int)'),
    close: library.func('int close(int)'),
    errno: () => koffi.errno(),
  }
  return prepared
}

/** What stands in the way, by the code that Node would use. */
export class DatagramError extends Error {
  override readonly name = 'DatagramError'
  readonly code: string

  constructor(path: string, call: string, errno: number) {
    const code = errno > 0 ? getSystemErrorName(-errno) : 'no reason given'
    super(`${call} ${path}: ${code}`)
    this.code = code
  }
}

export class UnixDatagram {
  readonly #path: string
  #fd: number

  /** @throws DatagramError */
  constructor(path: string) {
    this.#path = path
    const { socket, connect, errno } = libc()
    this.#fd = socket(afUnix, sockDgram | sockCloexecNonblock, 0)
    if (this.#fd < 0) throw new DatagramError(path, 'socket', errno())
    const address = socketAddress(path)
    if (connect(this.#fd, address, address.length) === 0) return
    const why = errno()
    this.close()
    throw new DatagramError(path, 'connect', why)
  }

  /** Waits while the receiver has no room, until stopped.
   *  @throws DatagramError; the signal's reason */
  async send(message: Buffer, stop: AbortSignal): Promise<void> {
    const { send, errno } = libc()
    while (send(this.#fd, message, message.length, msgDontwaitNosignal) < 0) {
      const why = errno()
      if (!busy.includes(why)) throw new DatagramError(this.#path, 'send', why)
      await wait(busyPauseMs, undefined, { signal: stop })
    }
  }

  close(): void {
    if (this.#fd >= 0) libc().close(this.#fd)
    this.#fd = -1
  }
}

/** struct sockaddr_un; macOS has its length in the first byte. */
function socketAddress(path: string): Buffer {
  const name = Buffer.from(path, 'utf8')
  if (name.length >= pathBytes) throw new DatagramError(path, 'connect', constants.errno.ENAMETOOLONG)
  const address = Buffer.alloc(2 + pathBytes)
  if (isMac) {
    address[0] = address.length
    address[1] = afUnix
  } else address.writeUInt16LE(afUnix, 0)
  name.copy(address, 2)
  return address
}
