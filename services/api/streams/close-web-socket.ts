// Shows somebody out of a WebSocket, with the reason, whether or not they take leave.

import type { WebSocket } from 'ws'

/** RFC 6455, 5.5: a control frame holds 125 bytes, two of which are the code. */
const maxReasonBytes = 123
const ellipsis = '…'
const partingMs = 1_000

/** A peer that does not answer within a second, or does not even read, is cut off. So this is for peers that have nothing more
 *  to hear, or come back for it. `code` as in RFC 6455, 7.4. */
export function closeWebSocket(socket: WebSocket, code: number, reason: string): void {
  socket.close(code, shortenReason(reason))
  // Where we had stopped reading, because much was waiting to be recorded, their goodbye would not be heard.
  socket.resume()
  const cut = setTimeout(() => socket.terminate(), partingMs)
  socket.once('close', () => clearTimeout(cut))
}

export function shortenReason(reason: string): string {
  if (Buffer.byteLength(reason) <= maxReasonBytes) return reason
  const room = new Uint8Array(maxReasonBytes - Buffer.byteLength(ellipsis))
  // Takes whole characters alone.
  const { written } = new TextEncoder().encodeInto(reason, room)
  return Buffer.from(room.subarray(0, written)).toString('utf8') + ellipsis
}
