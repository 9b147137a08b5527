// Whether the service is ready, asked the way that everybody asks: over its socket. `node health-check.ts [SOCKET]` says so in one
// line and by its exit code. Run every few seconds, so it loads nothing but Node's own HTTP.

import { systemLayout } from '@teleclaude/config/layout.ts'

const patienceMs = 3_000
const pauseMs = 10

const { request } = process.getBuiltinModule('node:http')

type Outcome = { readonly ok: boolean; readonly what: string }

function check(socketPath: string, signal = AbortSignal.timeout(patienceMs)): Promise<Outcome> {
  return new Promise((resolve) => {
    const sent = request({ socketPath, path: '/readyz', agent: false, signal })
    sent.on('error', (error: NodeJS.ErrnoException) => {
      // Many are connecting: no reason to take the service for dead (connect(2)).
      if (error.code === 'EAGAIN' && !signal.aborted) {
        setTimeout(() => resolve(check(socketPath, signal)), pauseMs)
        return
      }
      const why = error.name === 'AbortError' ? `no answer in ${patienceMs} ms` : error.message
      resolve({ ok: false, what: `not ready: ${why}` })
    })
    sent.on('response', (response) => {
      response.resume()
      const ok = response.statusCode === 200
      resolve({ ok, what: ok ? 'ready' : `not ready: /readyz answers ${response.statusCode}` })
    })
    sent.end()
  })
}

const { ok, what } = await check(process.argv[2] ?? systemLayout(process.platform).socket)
process.stdout.write(`${what}\n`)
process.exit(ok ? 0 : 1)
