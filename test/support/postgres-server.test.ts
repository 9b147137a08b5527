import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'

test('a server ends and leaves nothing when its test is killed', async () => {
  const script = `
    import { startPostgres } from './postgres-server.ts'
    const server = await startPostgres({ own: true })
    console.log(JSON.stringify([server.pid, new URL(server.url('x')).searchParams.get('host')]))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  const [pid, directory] = JSON.parse(line)
  assert.ok(process.kill(pid, 0))
  const watcher = watch(dirname(directory))
  child.kill('SIGKILL')
  while (existsSync(directory)) await once(watcher, 'change')
  watcher.close()
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, basename(directory))
})
