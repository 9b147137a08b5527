// The import boundaries are rules of the linter (biome.json): each is shown to refuse what it is there for, and nothing else.

import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { copyCheckout, runCommand } from '../test/support/checkout.ts'

type Imports = { readonly refused: readonly string[]; readonly allowed: readonly string[] }

const files: Readonly<Record<string, Imports>> = {
  'packages/core/x.ts': {
    refused: [
      '@teleclaude/store/open.ts',
      '@teleclaude/screen/x.ts',
      '../config/x.ts',
      'pg',
      'slonik',
      'better-sqlite3',
    ],
    allowed: ['zod', './role.ts', 'node:crypto'],
  },
  'packages/config/folder/x.ts': {
    refused: ['@teleclaude/store/open.ts', '@teleclaude/api/x.ts', '../../core/x.ts', 'pg'],
    allowed: ['@teleclaude/core/role.ts', '../x.ts'],
  },
  'packages/peercred/x.ts': {
    refused: ['@teleclaude/config/x.ts', '@teleclaude/client/x.ts', '../core/x.ts', 'pg'],
    allowed: ['@teleclaude/core/caller.ts', 'koffi'],
  },
  'packages/client/x.ts': {
    refused: ['@teleclaude/peercred/x.ts', '@teleclaude/telec/x.ts', '../core/x.ts', 'better-sqlite3'],
    allowed: ['@teleclaude/core/api.ts', 'ws'],
  },
  'packages/screen/x.ts': {
    refused: ['@teleclaude/config/x.ts', '@teleclaude/telec/x.ts', '../core/x.ts', 'pg'],
    allowed: ['@teleclaude/core/session.ts', '@xterm/headless', './rows.ts'],
  },
  'packages/store/open.ts': {
    refused: ['@teleclaude/config/x.ts', '@teleclaude/api/x.ts', '../core/x.ts', 'pg', 'slonik', 'better-sqlite3'],
    allowed: ['@teleclaude/core/session.ts', './sqlite/connection.ts', 'zod'],
  },
  'packages/store/sqlite/x.ts': {
    refused: ['@teleclaude/config/x.ts', '../../core/x.ts'],
    allowed: ['better-sqlite3', '@teleclaude/core/session.ts', '../rows.ts'],
  },
  'packages/store/postgres/x.ts': {
    refused: ['@teleclaude/client/x.ts', '../../core/x.ts'],
    allowed: ['pg', 'slonik', '@teleclaude/core/session.ts', '../rows.ts'],
  },
  'packages/telec/folder/x.ts': {
    refused: ['better-sqlite3', 'slonik', '../../core/x.ts', '../../../services/api/main.ts'],
    allowed: ['@teleclaude/api/service.ts', '@teleclaude/client/x.ts', '@teleclaude/screen/x.ts', '../x.ts'],
  },
  'services/api/http/x.ts': {
    refused: ['@teleclaude/telec/x.ts', 'pg', '../../../packages/core/x.ts', '../../../packages/screen/x.ts'],
    allowed: ['@teleclaude/store/open.ts', '@teleclaude/config/x.ts', '@teleclaude/screen/x.ts', '../x.ts'],
  },
  'packages/core/x.test.ts': {
    refused: [],
    allowed: ['@teleclaude/store/open.ts', 'pg', '../../test/support/x.ts'],
  },
}

const waysToImport = [
  (from: string) => `import { a } from '${from}'`,
  (from: string) => `import type { A } from '${from}'`,
  (from: string) => `export { b } from '${from}'`,
  (from: string) => `void import('${from}')`,
]
const linesFor = (specifiers: readonly string[]) => specifiers.flatMap((from) => waysToImport.map((way) => way(from)))

test('the linter refuses every import across a boundary, in whatever form, and no other', async (t) => {
  const project = await copyCheckout(t, 'biome.json')
  await runCommand('git', ['init', '--quiet', project])
  const expected: string[] = []
  for (const [file, { refused, allowed }] of Object.entries(files)) {
    const lines = linesFor(refused)
    await mkdir(dirname(join(project, file)), { recursive: true })
    await writeFile(join(project, file), [...lines, ...linesFor(allowed)].join('\n'))
    expected.push(...lines.map((_, index) => `${file}:${index + 1}`))
  }

  const biome = join(import.meta.dirname, '../node_modules/.bin/biome')
  const lint = ['lint', '--max-diagnostics=1000', '--reporter=github']
  const { stdout } = await runCommand(biome, lint, { cwd: project })
  const found = [...stdout.matchAll(/noRestrictedImports,file=.*?\/checkout\/([^,]*),line=(\d+)/g)].map(
    ([, file, line]) => `${file}:${line}`,
  )
  const missed = expected.filter((place) => !found.includes(place))
  const tooMany = found.filter((place) => !expected.includes(place))
  assert.deepEqual({ missed, tooMany }, { missed: [], tooMany: [] }, stdout)
})
