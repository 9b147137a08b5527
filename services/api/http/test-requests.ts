// For tests: requests and answers byte for byte, as strings (latin1).

const closing = 'Host: x\r\nConnection: close\r\n'

/** A request on a connection of its own. */
export function writeRequest(method: string, path: string, body?: unknown): string {
  if (body === undefined) return `${method} ${path} HTTP/1.1\r\n${closing}\r\n`
  const json = JSON.stringify(body)
  const described = `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(json)}\r\n`
  return `${method} ${path} HTTP/1.1\r\n${closing}${described}\r\n${json}`
}

/** `more`: further headers, each with its line's end. */
export function writeUpgrade(path: string, protocol: string, more = ''): string {
  const upgrade = `Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${'A'.repeat(22)}==\r\n`
  const chosen = `Sec-WebSocket-Protocol: ${protocol}\r\n`
  return `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n${upgrade}${chosen}${more}\r\n`
}

/** NaN where there is no answer. */
export function statusOf(reply: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(reply)?.[1])
}

/** What came after the headers. */
export function bodyOf(reply: string): string {
  return reply.slice(reply.indexOf('\r\n\r\n') + 4)
}

/** All of an answer but when it was given. */
export function timeless(reply: string): string {
  return reply.replace(/^Date: .*\r\n/m, '')
}
