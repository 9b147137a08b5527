// An image made from one of ours, gone again when the test is over.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GenericContainer, getContainerRuntimeClient } from 'testcontainers'

export type DerivedImage = AsyncDisposable & { readonly tag: string }

export async function buildDerivedImage(base: string, lines: string): Promise<DerivedImage> {
  const context = mkdtempSync(join(tmpdir(), 'tc-image-'))
  const tag = `${base.split(':')[0]}:test-${context.slice(-6).toLowerCase()}`
  try {
    writeFileSync(join(context, 'Dockerfile'), `FROM ${base}\n${lines}\n`)
    await GenericContainer.fromDockerfile(context).build(tag, { deleteOnExit: false })
  } finally {
    rmSync(context, { recursive: true })
  }
  return {
    tag,
    async [Symbol.asyncDispose]() {
      const { dockerode } = (await getContainerRuntimeClient()).container
      const removed: Promise<unknown> = dockerode.getImage(tag).remove({ force: true })
      await removed
    },
  }
}
