import type { Client } from '@teleclaude/client/client.ts'
import { LastLines } from '../output/last-lines.ts'

/** The last lines of what was recorded of a session, as text, each with its newline. */
export async function readLastLines(
  client: Client,
  id: string,
  { limit, colour }: { readonly limit: number; readonly colour: boolean },
): Promise<string> {
  const lines = new LastLines(limit)
  const stream = await client.readTranscript(id, { format: 'text', colour: colour ? 'true' : 'false' })
  stream.setEncoding('utf8')
  for await (const text of stream) lines.add(text)
  return lines.take()
}
