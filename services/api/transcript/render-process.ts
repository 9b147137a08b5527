// The process that renders one transcript as text. It answers each message with one message, and ends with its channel.
// A process, because a thread that runs out of memory can take its whole process with it.

import type { TerminalSize } from '@teleclaude/core/session.ts'
import { Emulator } from './emulator.ts'

export type ToRenderer =
  /** The first message. */
  | { readonly kind: 'start'; readonly size: TerminalSize; readonly colour: boolean }
  | { readonly kind: 'output'; readonly bytes: Uint8Array }
  | { readonly kind: 'resize'; readonly size: TerminalSize }
  | { readonly kind: 'end' }
  /** Asks for more text of what was sent before. */
  | { readonly kind: 'more' }

export type FromRenderer =
  | { readonly kind: 'text'; readonly text: string }
  /** There is no more text of what was sent. */
  | { readonly kind: 'none' }

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
let emulator: Emulator
let pieces: AsyncGenerator<string>

async function* render(message: ToRenderer): AsyncGenerator<string> {
  switch (message.kind) {
    case 'start':
      emulator = new Emulator(message.size, message)
      break
    case 'output':
      yield* emulator.write(decoder.decode(message.bytes, { stream: true }))
      break
    case 'resize':
      yield* emulator.resize(message.size)
      break
    case 'end':
      yield* emulator.write(decoder.decode())
      yield* emulator.end()
      break
    case 'more':
      break
  }
}

process.on('message', async (message: ToRenderer) => {
  if (message.kind !== 'more') pieces = render(message)
  const piece = await pieces.next()
  const answer: FromRenderer = piece.done ? { kind: 'none' } : { kind: 'text', text: piece.value }
  process.send?.(answer)
})
process.on('disconnect', () => process.exit())
