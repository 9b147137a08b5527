// Asks for one's own sessions: whoever has used the service as somebody has limits of their own, and shares none with strangers.

import { once } from 'node:events'
import { request } from 'node:http'

export async function introduce(socketPath: string): Promise<void> {
  const sent = request({ socketPath, path: '/v1/sessions', agent: false })
  sent.end()
  const [response] = await once(sent, 'response')
  response.resume()
  await once(response, 'end')
  if (response.statusCode !== 200) throw new Error(`the service does not know who we are: ${response.statusCode}`)
}
