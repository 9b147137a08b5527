// `telec events`: what happens to sessions, a line for each event, for scripts and for who likes to watch.

import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { printJson } from '../output/json.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { describeStatus } from '../session/end.ts'
import { shortIdLength, titleWithOwner } from '../session/find.ts'
import { followNews } from '../session/news.ts'

export async function events(options: ServiceOptions & { readonly json?: true }): Promise<number> {
  const client = await withService(options, async (client) => {
    await client.whoami()
    return client
  })
  let isFirst = true
  for await (const event of followNews(client)) {
    if (options.json) printJson(event.kind === 'reset' ? event : { kind: event.kind, id: event.id, ...event.data })
    else if (event.kind !== 'reset') {
      const { at, session } = event.data
      const doing = event.kind === 'agent' ? session.agentStatus.state : describeStatus(session)
      const shown = [at, event.kind, session.id.slice(0, shortIdLength), doing, titleWithOwner(session)]
      process.stdout.write(`${neutralise(shown.join(' '))}\n`)
    } else if (!isFirst) process.stdout.write('Something may have been missed: telec ls shows how it is now.\n')
    isFirst = false
  }
  return 0
}
