import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Session } from '@teleclaude/core/session.ts'
import { encodeResize, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import fc from 'fast-check'
import { z } from 'zod'
import { writeCast } from './cast.ts'
import { chunksOf, cutAnywhere, sessionFixture } from './fixtures.ts'

const versions = [2, 3] as const

const header2 = z.strictObject({
  version: z.literal(2),
  width: z.int().min(1),
  height: z.int().min(1),
  timestamp: z.int(),
  command: z.string(),
  title: z.string().optional(),
  env: z.record(z.string(), z.string()),
})
const header3 = z.strictObject({
  version: z.literal(3),
  term: z.strictObject({ cols: z.int().min(1), rows: z.int().min(1), type: z.string() }),
  timestamp: z.int(),
  command: z.string(),
  title: z.string().optional(),
})
const eventSchema = z.tuple([z.number().min(0), z.enum(['o', 'r', 'x']), z.string()])

async function cast(version: 2 | 3, chunks: readonly TranscriptChunk[], session: Session = sessionFixture()) {
  let text = ''
  for await (const piece of writeCast(session, chunksOf(chunks), { version })) text += piece
  assert.ok(text.endsWith('\n'))
  const [first = '', ...lines] = text.trimEnd().split('\n')
  const header = (version === 3 ? header3 : header2).parse(JSON.parse(first))
  return { text, header, events: lines.map((line) => eventSchema.parse(JSON.parse(line))) }
}

const output = (seq: number, offsetUs: number, bytes: Uint8Array | string): TranscriptChunk => ({
  seq,
  kind: 'output',
  offsetUs,
  bytes: Buffer.from(bytes),
})

const example: readonly TranscriptChunk[] = [
  output(1, 248_000, '\x1b[1;31mHello \x1b[32mWörld!\x1b[0m\r\n'),
  { seq: 2, kind: 'resize', offsetUs: 300_001, bytes: encodeResize({ cols: 90, rows: 30 }) },
  output(3, 1_000_000, Buffer.from([0xe6, 0x97])),
  output(4, 1_500_000, Buffer.from([0xa5, 0xff])),
  { seq: 5, kind: 'exit', offsetUs: 2_000_000, bytes: Buffer.from('{"kind":"exited","code":3}') },
]

describe('an asciicast', () => {
  test('of version 3 has intervals, sizes and the exit status', async () => {
    const { header, events } = await cast(3, example, sessionFixture({ title: 'Dem\x1bo', argv: ['sh', '-c', "it's"] }))
    assert.deepEqual(header, {
      version: 3,
      term: { cols: 80, rows: 24, type: 'xterm-256color' },
      timestamp: 1_700_000_000,
      command: "sh -c 'it'\\''s'",
      title: 'Dem␛o',
    })
    assert.deepEqual(events, [
      [0.248, 'o', '\x1b[1;31mHello \x1b[32mWörld!\x1b[0m\r\n'],
      [0.052001, 'r', '90x30'],
      [1.199999, 'o', '日\ufffd'],
      [0.5, 'x', '3'],
    ])
  })

  test('of version 2 has times since the start and no exit status', async () => {
    const { events } = await cast(2, example)
    assert.deepEqual(
      events.map(([time, code]) => [time, code]),
      [
        [0.248, 'o'],
        [0.300001, 'r'],
        [1.5, 'o'],
      ],
    )
  })

  test('gives the status of a killed program as a shell does', async () => {
    const bytes = Buffer.from('{"kind":"signalled","signal":"SIGKILL"}')
    const { events } = await cast(3, [{ seq: 1, kind: 'exit', offsetUs: 1, bytes }])
    assert.deepEqual(events, [[0.000001, 'x', '137']])
  })

  test('never runs backwards in time', async () => {
    const { events } = await cast(3, [output(1, 5_000_000, 'a'), output(2, 1_000_000, 'b'), output(3, 6_000_000, 'c')])
    assert.deepEqual(
      events.map(([interval]) => interval),
      [5, 0, 1],
    )
  })

  test('has nothing in its file that would act on a terminal', async () => {
    const hostile = '\x00\x1b]0;x\x07\x7f\u009b2J\u202e\u2066\u2028\u200b\ufeff\u{e0041}'
    for (const version of versions) {
      const { text, events } = await cast(
        version,
        [output(1, 0, hostile)],
        sessionFixture({ title: hostile, argv: [hostile] }),
      )
      assert.doesNotMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
      assert.equal(events[0]?.[2], hostile, 'and yet nothing of the output is lost')
    }
  })

  test('decodes all output once, however it was cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
        ),
        fc.infiniteStream(fc.integer({ min: 1, max: 5 })),
        fc.boolean(),
        fc.constantFrom(...versions),
        async (bytes, sizes, exits, version) => {
          const chunks = cutAnywhere(bytes, sizes).map((part, index) => output(index + 1, index * 333_333, part))
          const exit = Buffer.from('{"kind":"exited","code":0}')
          if (exits)
            chunks.push({ seq: chunks.length + 1, kind: 'exit', offsetUs: chunks.length * 333_333, bytes: exit })
          const { events } = await cast(version, chunks)
          const shown = events.filter(([, code]) => code === 'o').map(([, , data]) => data)
          assert.equal(shown.join(''), new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes))
        },
      ),
    )
  })

  test('lets no rounding add up', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(2_000_000), { minLength: 1, maxLength: 200 }), async (steps) => {
        let offsetUs = 0
        const chunks = steps.map((step, index) => {
          offsetUs += step
          return output(index + 1, offsetUs, 'x')
        })
        const { events } = await cast(3, chunks)
        assert.equal(
          events.reduce((sum, [interval]) => sum + Math.round(interval * 1e6), 0),
          offsetUs,
        )
      }),
    )
  })
})

describe('a player', () => {
  for (const version of versions) {
    test(`asciinema-player plays version ${version}`, async () => {
      const { text } = await cast(version, example, sessionFixture({ title: 'Demo' }))
      assert.deepEqual(await play(text), {
        sizes: ['80x24', '90x30'],
        output: '\x1b[1;31mHello \x1b[32mWörld!\x1b[0m\r\n日\ufffd',
      })
    })
  }
})

type Size = { readonly cols: number; readonly rows: number }

/** Plays an asciicast through the player's own parser and driver, without its page. */
async function play(text: string) {
  const directory = dirname(fileURLToPath(import.meta.resolve('asciinema-player')))
  const file = (await readdir(directory)).find((name) => name.startsWith('core-'))
  assert.ok(file)
  const { C: Core } = await import(pathToFileURL(join(directory, file)).href)
  const silent = () => undefined
  const logger = { debug: silent, info: silent, warn: silent, error: silent }
  const core = new Core({ data: text }, { logger, speed: 1000, preload: true, autoPlay: true })
  const sizes: string[] = []
  let output = ''
  const ended = new Promise<void>((resolve, reject) => {
    core.addEventListener('ended', resolve)
    core.addEventListener('error', reject)
  })
  core.addEventListener('reset', ({ size }: { size: Size }) => sizes.push(`${size.cols}x${size.rows}`))
  core.addEventListener('resize', ({ cols, rows }: Size) => sizes.push(`${cols}x${rows}`))
  core.addEventListener('output', (data: string) => {
    output += data
  })
  core.terminalReady()
  await core.init()
  await ended
  return { sizes, output }
}
