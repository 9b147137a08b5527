// Names and numbers of the WebSocket protocols between runners, viewers and the API. What they say is in link.ts.

/** WebSocket subprotocols (RFC 6455, 1.9): the number changes when the two sides could no longer understand each other. */
export const runnerProtocol = 'teleclaude.runner.v1'
export const viewerProtocol = 'teleclaude.viewer.v1'

/** Why a connection was closed by the API, in the range RFC 6455 7.4.2 leaves to applications. */
export const closeCodes = {
  protocolBroken: 4400,
  /** The caller may not do this any more: their role or account changed. The reason says why. */
  notPermitted: 4403,
  replaced: 4409,
  ended: 4410,
  restarting: 4503,
} as const
