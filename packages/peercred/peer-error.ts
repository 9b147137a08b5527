/** What kept the peer of a connection from being identified. Whoever catches one of these refuses the connection. */
export type PeerErrorCode =
  /** The connection is gone, or was not made yet. */
  | 'not-connected'
  | 'not-a-unix-socket'
  /** The kernel has no uid for the peer that means anything here. */
  | 'unmapped-uid'
  /** The kernel answered, but not in the shape that its headers promise. */
  | 'malformed'
  /** The kernel refused to answer. */
  | 'kernel-refused'
  | 'unsupported-platform'
  /** The native library could not be loaded, or a fact of the kernel not be read. */
  | 'reader-unavailable'
  /** The system's user directory failed: not the same as having no such user. */
  | 'lookup-failed'

export class PeerError extends Error {
  override readonly name = 'PeerError'
  readonly code: PeerErrorCode
  constructor(code: PeerErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}
