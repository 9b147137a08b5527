import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('./health-check.ts', import.meta.url))

test('ready is exit code 0; not ready, silent and absent are 1, in one line', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'api.sock')
  async function check() {
    const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [said, [code]] = await Promise.all([text(child.stdout), once(child, 'close')])
    return { said, code }
  }
  const absent = await check()
  assert.equal(absent.code, 1)
  assert.match(absent.said, /^not ready: .*ENOENT.*\n$/)

  let status: number | null = 200
  const server = createServer((request, response) => {
    assert.equal(request.url, '/readyz')
    if (status !== null) response.writeHead(status).end('{}')
  })
  server.listen(path)
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  assert.deepEqual(await check(), { said: 'ready\n', code: 0 })
  status = 503
  assert.deepEqual(await check(), { said: 'not ready: /readyz answers 503\n', code: 1 })
  status = null
  assert.deepEqual(await check(), { said: 'not ready: no answer in 3000 ms\n', code: 1 })
})
