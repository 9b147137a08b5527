import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { encodeResize, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import fc from 'fast-check'
import { chunksOf, cutAnywhere } from './fixtures.ts'
import { type RenderErrorCode, type RenderLimits, type RenderText, renderText, textRenderer } from './text.ts'

const terminal = { cols: 80, rows: 24 }
const limits: RenderLimits = { jobs: 2, stallMs: 30_000, jobMs: 30_000, mebibyteMs: 2_000, heapMebibytes: 64 }

const outputs = (parts: Iterable<Uint8Array | string>): TranscriptChunk[] =>
  Array.from(parts, (part, index) => ({ seq: index + 1, kind: 'output', offsetUs: index, bytes: Buffer.from(part) }))

async function textOf(
  chunks: Iterable<TranscriptChunk> | AsyncIterable<TranscriptChunk>,
  { colour = false, render = renderText }: { colour?: boolean; render?: RenderText } = {},
): Promise<string> {
  const source = Symbol.asyncIterator in chunks ? chunks : chunksOf(chunks)
  let text = ''
  for await (const piece of render(terminal, source, { colour, uid: 1 })) text += piece
  return text
}

const failsWith = (code: RenderErrorCode) => ({ name: 'RenderError', code })

describe('the text of a transcript', () => {
  test('has as many lines as went in, however they were cut into chunks', async () => {
    const lines = Array.from({ length: 300_000 }, (_, index) => `line ${index} –${'=^..^='.repeat(index % 20)}`)
    const bytes = Buffer.from(lines.map((line) => `${line}\r\n`).join(''))
    const sizes = fc.sample(fc.integer({ min: 1, max: 64 * 1024 }), { numRuns: 1000 })
    const chunks = outputs(
      cutAnywhere(
        bytes,
        sizes.values().flatMap((size) => [size, 1, 2]),
      ),
    )
    const text = await textOf(chunks)
    assert.equal(
      text.length,
      lines.reduce((sum, line) => sum + line.length + 1, 0),
    )
    assert.ok(text === `${lines.join('\n')}\n`)
  })

  test('puts characters together that were cut in two, and shows bytes that are none', async () => {
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.integer({ min: 1, max: 3 })), async (sizes) => {
        const bytes = Buffer.concat([Buffer.from('日本 é 👍 '), Buffer.from([0xff, 0xe6, 0x97]), Buffer.from('x\r\n')])
        assert.equal(await textOf(outputs(cutAnywhere(bytes, sizes))), '日本 é 👍 \ufffd\ufffdx\n')
      }),
      { numRuns: 10 },
    )
  })

  test('takes part in resizes', async () => {
    const resize = (cols: number): TranscriptChunk => ({
      seq: 1,
      kind: 'resize',
      offsetUs: 0,
      bytes: encodeResize({ cols, rows: 5 }),
    })
    const exit: TranscriptChunk = {
      seq: 9,
      kind: 'exit',
      offsetUs: 0,
      bytes: Buffer.from('{"kind":"exited","code":0}'),
    }
    const chunks = [resize(9), resize(10), ...outputs(['\x1b[99Cx']), resize(20), ...outputs(['\r\n\x1b[99Cy']), exit]
    assert.equal(await textOf(chunks), '         x\n                   y\n')
  })

  test('is nothing where nothing was recorded', async () => assert.equal(await textOf([]), ''))

  test('has the colours where they are asked for', async () => {
    assert.equal(await textOf(outputs(['\x1b[1mx\x1b[0m']), { colour: true }), '\x1b[0;1mx\x1b[0m\n')
  })
})

describe('rendering', () => {
  /** A transcript without end that says when its reader went away. */
  function endless(part: string) {
    const closed = Promise.withResolvers<void>()
    const opened = Promise.withResolvers<void>()
    async function* chunks(): AsyncGenerator<TranscriptChunk> {
      try {
        opened.resolve()
        for (let seq = 1; ; seq++) yield { seq, kind: 'output', offsetUs: seq, bytes: Buffer.from(part) }
      } finally {
        closed.resolve()
      }
    }
    return { chunks: chunks(), opened: opened.promise, closed: closed.promise }
  }

  test('ends when its reader stops', async () => {
    const { chunks, closed } = endless('x\r\n')
    for await (const piece of renderText(terminal, chunks, { colour: false, uid: 1 })) {
      assert.match(piece, /^x\n/)
      break
    }
    await closed
  })

  test('ends when its reader goes away while nothing comes out', async () => {
    const { chunks, opened, closed } = endless('\x1b[?1049h...')
    const reader = renderText(terminal, chunks, { colour: false, uid: 1 })[Symbol.asyncIterator]()
    const piece = reader.next()
    await opened
    await reader.return?.()
    assert.deepEqual(await piece, { done: true, value: undefined })
    await closed
  })

  test('takes turns, and lets go of who gave up waiting', async () => {
    const render = textRenderer({ ...limits, jobs: 1 })
    const first = render(terminal, endless('x\r\n').chunks, { colour: false, uid: 1 })[Symbol.asyncIterator]()
    await first.next()
    const impatient = render(terminal, endless('x\r\n').chunks, { colour: false, uid: 1 })[Symbol.asyncIterator]()
    const nothing = impatient.next()
    const patient = textOf(outputs(['y']), { render })
    await impatient.return?.()
    assert.equal((await nothing).done, true)
    await first.return?.()
    assert.equal(await patient, 'y\n')
  })

  test('takes the turn from a reader that stalls while another waits', async () => {
    const render = textRenderer({ ...limits, jobs: 1, stallMs: 50 })
    const stalled = render(terminal, endless('x\r\n').chunks, { colour: false, uid: 1 })[Symbol.asyncIterator]()
    await stalled.next()
    assert.equal(await textOf(outputs(['y']), { render }), 'y\n')
    await assert.rejects(stalled.next(), failsWith('reader-stalled'))
  })

  test('leaves a reader that stalls alone while nobody waits', async () => {
    const render = textRenderer({ ...limits, jobs: 1, stallMs: 0 })
    const stalled = render(terminal, endless('x\r\n').chunks, { colour: false, uid: 1 })[Symbol.asyncIterator]()
    await stalled.next()
    await once(AbortSignal.timeout(20), 'abort')
    assert.equal((await stalled.next()).done, false)
    await stalled.return?.()
  })

  test('gives up on what takes too long, and the next one has its turn', async () => {
    const render = textRenderer({ ...limits, jobs: 1, jobMs: 500, mebibyteMs: 0 })
    await assert.rejects(textOf(endless('\x1b[?1049h...').chunks, { render }), failsWith('too-costly'))
    const unhurried = textRenderer(limits)
    assert.equal(await textOf(outputs(['y']), { render: unhurried }), 'y\n')
  })

  test('survives a renderer that runs out of memory', async () => {
    // Repeats a cell with many marks all over the widest of rows.
    const { chunks, closed } = endless(`a${'\u0301'.repeat(30)}\x1b[9999b\r\n`.repeat(500))
    const reader = renderText({ cols: 10_000, rows: 100 }, chunks, { colour: true, uid: 1 })[Symbol.asyncIterator]()
    await assert.rejects(async () => {
      while (!(await reader.next()).done);
    }, failsWith('renderer-failed'))
    await closed
    assert.equal(await textOf(outputs(['y'])), 'y\n')
  })

  test('passes on that the transcript could not be read', async () => {
    const failure = new Error('the store is gone')
    async function* broken(): AsyncGenerator<TranscriptChunk> {
      yield* outputs(['x\r\n'])
      throw failure
    }
    await assert.rejects(textOf(broken()), failure)
  })

  test('takes any bytes', { timeout: 120_000 }, async () => {
    const noise = fc.sample(fc.uint8Array({ minLength: 30_000, maxLength: 60_000, size: 'max' }), {
      seed: 1,
      numRuns: 40,
    })
    const text = await textOf(outputs(noise))
    assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Bidi_Control}]/u)
  })

  test('takes a command of 50 MB that never ends', { timeout: 120_000 }, async () => {
    const part = Buffer.alloc(64 * 1024, 'x')
    const chunks = outputs(['a\x1b]0;', ...Array.from({ length: 800 }, () => part)])
    assert.equal(await textOf(chunks), 'a\n')
  })
})
