// An export as anybody could have changed it, and what its verifier says of that. One file: every way of changing it starts from the
// same logs.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type ExportLine, formatExportLine, maxExportLineLength, parseExportLine } from './audit-export.ts'
import { type AuditFaultKind, maxAuditFaults } from './audit-fault.ts'
import { type Anchors, type AuditReport, verifyAuditExport } from './audit-verify.ts'
import { cosign, originOf } from './checkpoint.ts'
import { leafHash } from './merkle.ts'
import { cosignatureV1, formatVerifierKey, verifierKeyOf } from './signed-note.ts'
import { newSigner, TestAuditLog } from './test-audit-log.ts'

const unanchored: Anchors = { keys: [], since: null }
const verify = (lines: readonly string[], anchors = unanchored) => verifyAuditExport(lines, anchors)
const found = ({ faults }: AuditReport) => faults.map(({ kind, from, to }) => [kind, from, to])
const kinds = ({ faults }: AuditReport): AuditFaultKind[] => faults.map(({ kind }) => kind)

/** Twelve entries: the key, then others; checkpoints at 4, 8 and 12, that at 8 cosigned. */
function twelve(): TestAuditLog {
  const log = new TestAuditLog()
  log.rotate()
  for (let seq = 2; seq <= 12; seq += 1) {
    log.append('session.started', { n: seq })
    if (seq === 8) log.checkpoint({ cosignedS: 1_769_853_700 })
    else if (seq % 4 === 0) log.checkpoint()
  }
  return log
}
const anchorsOf = (log: TestAuditLog): Anchors => ({ keys: [...log.logKeys, log.auditorKey], since: null })

/** The lines of an export, to change and write again. */
const parse = (lines: readonly string[]) => lines.map((line) => parseExportLine(line) ?? assert.fail(line))
const write = (lines: readonly ExportLine[]) => lines.map(formatExportLine)
const placeOf = (lines: readonly ExportLine[], seq: number) =>
  lines.findIndex((line) => line.type === 'entry' && line.seq === seq)
/** The entry as JSON, changed, in the same place. */
function change(lines: ExportLine[], seq: number, from: string, to: string): ExportLine[] {
  const place = placeOf(lines, seq)
  const line = lines[place]
  assert.ok(line?.type === 'entry')
  const text = Buffer.from(line.entry, 'base64').toString('utf8')
  assert.ok(text.includes(from), text)
  return lines.with(place, { ...line, entry: Buffer.from(text.replace(from, to)).toString('base64') })
}

test('a log that nobody touched is intact and complete, with its own keys or with those that are trusted', async () => {
  const log = twelve()
  const report = await verify(log.export())
  assert.deepEqual(report, {
    host: 'build-box',
    size: 12,
    root: rootAt(log, 12),
    intact: true,
    complete: true,
    trust: { log: 'export', auditor: 'export' },
    checkpoints: 3,
    signed: 12,
    cosigned: { size: 8, timeS: 1_769_853_700 },
    since: null,
    faults: [],
    faultsLeftOut: 0,
  } satisfies AuditReport)
  for (const since of log.notes) {
    const anchored = await verify(log.export(), { ...anchorsOf(log), since })
    assert.deepEqual([anchored.intact, anchored.complete, anchored.faults], [true, true, []])
    assert.deepEqual(anchored.trust, { log: 'given', auditor: 'given' })
  }
})

test('an export is read as it comes', async () => {
  const lines = twelve().export()
  async function* arriving() {
    for (const line of lines) yield line
  }
  assert.deepEqual(await verifyAuditExport(arriving(), unanchored), await verify(lines))
})

test('entries of before there were keys are in the tree as well', async () => {
  const log = new TestAuditLog()
  const { epoch: _, ...old } = JSON.parse(
    '{"action":"service.started","actor":{"kind":"service","name":"api"},"at":"2026-01-31T10:00:00.000001Z","detail":{},"epoch":0,"host":"build-box","seq":1,"session":null,"v":1}',
  )
  log.appendBytes(Buffer.from(JSON.stringify(old)))
  log.append()
  log.rotate()
  log.checkpoint()
  const report = await verify(log.export())
  assert.deepEqual([report.intact, report.complete, report.faults], [true, true, []])
})

test('what no checkpoint is over is not complete', async () => {
  const log = twelve()
  log.append()
  const report = await verify(log.export())
  assert.deepEqual([report.intact, report.complete, found(report)], [true, false, [['uncovered', 13, 13]]])
  const empty = await verify(new TestAuditLog().export())
  assert.deepEqual([empty.intact, empty.complete, found(empty)], [true, false, [['uncovered', 1, null]]])
})

test('a changed entry is found by the first checkpoint over it, which bounds where it is', async () => {
  const log = twelve()
  for (const [seq, faults] of [
    [
      3,
      [
        ['root', 1, 4],
        ['fork', 1, 4],
        ['end', 1, 4],
      ],
    ],
    [
      6,
      [
        ['fork', 5, 8],
        ['root', 5, 8],
        ['end', 5, 8],
      ],
    ],
    [
      11,
      [
        ['root', 9, 12],
        ['end', 9, 12],
      ],
    ],
  ] as const) {
    const report = await verify(write(change(parse(log.export()), seq, `"n":${seq}`, `"n":${seq + 1}`)))
    assert.deepEqual([report.intact, found(report)], [false, faults])
  }
})

test('an entry that is none, of another host, or says that it is another, is named', async () => {
  const log = twelve()
  for (const [from, to, kind] of [
    ['"n":6', '"n": 6', 'entry'],
    ['"n":6', '"n":6,"a":1', 'entry'],
    ['"v":1', '"v":2', 'entry'],
    ['build-box', 'other-box', 'host'],
    ['"seq":6', '"seq":5', 'order'],
    ['"seq":6', '"seq":9', 'gap'],
    ['"epoch":1', '"epoch":0', 'epoch'],
    ['"epoch":1', '"epoch":2', 'epoch'],
  ] as const) {
    const report = await verify(write(change(parse(log.export()), 6, from, to)))
    assert.ok(!report.intact, to)
    const fault = report.faults.find((one) => one.kind === kind)
    assert.ok(
      fault !== undefined && fault.from <= 6 && (fault.to ?? 12) >= 6,
      `${to}: ${JSON.stringify(report.faults)}`,
    )
  }
})

test('entries that are missing, twice or swapped are named', async () => {
  const lines = parse(twelve().export())
  const missing = await verify(write(lines.toSpliced(placeOf(lines, 6), 1)))
  assert.ok(found(missing).some(([kind, from, to]) => kind === 'gap' && from === 6 && to === 6))
  assert.deepEqual([missing.intact, missing.complete], [false, false])
  const six = lines[placeOf(lines, 6)] ?? assert.fail()
  const twice = await verify(write(lines.toSpliced(placeOf(lines, 6), 0, six)))
  assert.ok(found(twice).some(([kind, from, to]) => kind === 'order' && from === 6 && to === 6))
  const seven = lines[placeOf(lines, 7)] ?? assert.fail()
  const swapped = await verify(write(lines.with(placeOf(lines, 6), seven).with(placeOf(lines, 7), six)))
  assert.ok(!swapped.intact)
  assert.ok(kinds(swapped).includes('order'))
})

test('a tail that was cut off is found by what was over it', async () => {
  const log = twelve()
  const lines = parse(log.export())
  // A checkpoint is left over that is of more.
  const checkpoints = lines.filter((line) => line.type === 'checkpoint')
  const short = lines.slice(0, placeOf(lines, 5))
  const some = await verify(write([...short, ...checkpoints.slice(1)]))
  assert.ok(found(some).some(([kind, from, to]) => kind === 'rollback' && from === 5 && to === 8))
  // Without them, the end says so.
  const end = lines.at(-1) ?? assert.fail()
  assert.ok(
    found(await verify(write([...short, end]))).some(([kind, from, to]) => kind === 'cut' && from === 5 && to === 12),
  )
  assert.ok(kinds(await verify(write(short))).includes('cut'))
  // And without that, whoever has an earlier checkpoint.
  const cut = write([...short, { type: 'end', size: 4, root: rootAt(log, 4) }])
  const unseen = await verify(cut, anchorsOf(log))
  assert.deepEqual([unseen.intact, unseen.complete, unseen.faults], [true, true, []])
  const seen = await verify(cut, { ...anchorsOf(log), since: log.notes[1] ?? null })
  assert.deepEqual([seen.intact, seen.complete, found(seen)], [true, false, [['rollback', 5, 8]]])
})

function rootAt(log: TestAuditLog, size: number): string {
  const text = log.notes.find((note) => note.split('\n')[1] === String(size)) ?? assert.fail()
  return text.split('\n')[2] ?? assert.fail()
}

test('a log that was written anew with its own key is found by an earlier checkpoint alone', async () => {
  const log = twelve()
  const [signer] = log.signers
  const fork = new TestAuditLog()
  fork.rotate(signer)
  for (let seq = 2; seq <= 14; seq += 1) {
    fork.append('session.started', { n: seq === 6 ? 0 : seq })
    if (seq % 4 === 0) fork.checkpoint()
  }
  fork.checkpoint()
  const alone = await verify(fork.export(), anchorsOf(log))
  assert.deepEqual([alone.intact, alone.complete], [true, true])
  const held = await verify(fork.export(), { ...anchorsOf(log), since: log.notes[1] ?? null })
  assert.deepEqual([held.intact, held.complete, found(held)], [false, false, [['fork', 5, 8]]])
})

test('an earlier checkpoint that is none of this log, or that its key has not signed, is no good', async () => {
  const log = twelve()
  const other = new TestAuditLog('other-box')
  other.rotate()
  const forged = new TestAuditLog()
  forged.rotate()
  for (const since of [other.checkpoint(), forged.checkpoint(), 'nonsense', '']) {
    const report = await verify(log.export(), { keys: [], since })
    assert.ok(kinds(report).includes('anchor'), since)
    assert.deepEqual([report.intact, report.complete], [false, false])
  }
})

test('a checkpoint that the key of its epoch has not signed is no checkpoint', async () => {
  const log = twelve()
  log.append()
  log.checkpoint({ by: [newSigner(originOf('build-box'))] })
  const report = await verify(log.export())
  assert.deepEqual(found(report), [
    ['signature', 13, 13],
    ['uncovered', 13, 13],
  ])
  assert.deepEqual([report.intact, report.complete, report.signed], [false, false, 12])
  for (const note of [
    log.notes[0]?.replace('\n4\n', '\n5\n') ?? '',
    'nonsense',
    log.notes[0]?.split('\n\n')[0] ?? '',
  ]) {
    const lines = parse(twelve().export())
    const at = lines.findIndex((line) => line.type === 'checkpoint')
    const spoiled = await verify(write(lines.with(at, { type: 'checkpoint', note, cosignatures: [] })))
    assert.ok(kinds(spoiled).includes('signature'), note)
    assert.ok(!spoiled.intact)
  }
})

test('one false checkpoint between good ones is one fault, in the range that it is over', async () => {
  const log = new TestAuditLog()
  log.rotate()
  log.checkpoint()
  log.append()
  log.checkpoint({ root: leafHash(Buffer.from('another')) })
  log.append()
  log.checkpoint()
  const report = await verify(log.export())
  assert.deepEqual(found(report), [['root', 2, 2]])
  assert.ok(!report.intact && report.complete)
})

test('a cosignature counts for the checkpoint that it is of, and by the auditor that is trusted', async () => {
  const log = twelve()
  const lines = parse(log.export())
  const at = lines.findIndex((line) => line.type === 'checkpoint' && line.cosignatures.length === 1)
  const cosigned = lines[at]
  const last = lines.findLastIndex((line) => line.type === 'checkpoint')
  const newest = lines[last]
  assert.ok(cosigned?.type === 'checkpoint' && newest?.type === 'checkpoint')
  const moved = await verify(write(lines.with(last, { ...newest, cosignatures: cosigned.cosignatures })))
  assert.deepEqual([moved.intact, found(moved)], [false, [['cosignature', 9, 12]]])
  const garbage = await verify(write(lines.with(last, { ...newest, cosignatures: ['— nobody'] })))
  assert.deepEqual(found(garbage), [['cosignature', 9, 12]])
  // Another auditor says nothing to who does not trust it.
  const stranger = newSigner(log.auditor.name)
  const line = cosign(newest.note, stranger, 1_769_853_800)
  const foreign = write(lines.with(last, { ...newest, cosignatures: [line] }))
  assert.deepEqual((await verify(foreign)).cosigned, { size: 8, timeS: 1_769_853_700 })
  const trusting = await verify(foreign, { keys: [verifierKeyOf(stranger, cosignatureV1)], since: null })
  assert.deepEqual(trusting.cosigned, { size: 12, timeS: 1_769_853_800 })
  assert.deepEqual(trusting.trust, { log: 'export', auditor: 'given' })
})

test('a log goes on under a new key where the old one signed that it does', async () => {
  for (const together of [true, false]) {
    const log = twelve()
    log.rotate()
    if (together) log.checkpoint({ by: log.signers })
    else {
      log.checkpoint({ by: log.signers.slice(0, 1) })
      log.checkpoint()
    }
    log.append()
    log.rotate()
    log.append()
    log.checkpoint({ by: log.signers.slice(1) })
    log.append()
    log.checkpoint()
    for (const keys of [[], ...log.logKeys.map((key) => [key])]) {
      const report = await verify(log.export(), { keys, since: log.notes[0] ?? null })
      assert.deepEqual([report.intact, report.complete, report.faults], [true, true, []])
    }
  }
})

test('a new key to which the old one did not hand over does not count, unless it is trusted from elsewhere', async () => {
  for (const lost of [false, true]) {
    const log = twelve()
    log.rotate(newSigner(originOf(log.host)), lost)
    log.append()
    log.checkpoint()
    const report = await verify(log.export())
    assert.deepEqual([report.intact, found(report)], [false, [['key', 13, 14]]])
    assert.equal(report.faults[0]?.says.includes('lost'), lost)
    assert.ok(!(await verify(log.export(), { keys: log.logKeys.slice(0, 1), since: null })).intact)
    assert.ok((await verify(log.export(), { keys: log.logKeys.slice(1), since: null })).intact)
  }
})

test('a key that was replaced signs nothing any more', async () => {
  const log = twelve()
  log.rotate()
  log.checkpoint({ by: log.signers })
  log.append()
  log.checkpoint({ by: log.signers.slice(0, 1) })
  const report = await verify(log.export())
  assert.deepEqual(found(report), [
    ['signature', 14, 14],
    ['uncovered', 14, 14],
  ])
})

test('keys that the export names have to be those that entries announce, and those that are trusted', async () => {
  const log = twelve()
  const [header, ...rest] = parse(log.export())
  assert.ok(header?.type === 'log')
  const other = formatVerifierKey(verifierKeyOf(newSigner(originOf('build-box')), 1))
  const [first] = header.keys.log
  assert.ok(first)
  for (const keys of [
    [{ ...first, vkey: other }],
    [{ ...first, fromSeq: 2 }],
    [first, { epoch: 2, vkey: other, fromSeq: 5 }],
    [first, first],
    [first, { ...first, vkey: formatVerifierKey(log.auditorKey) }],
    [{ ...first, vkey: 'nonsense' }],
    [],
  ]) {
    const report = await verify(write([{ ...header, keys: { ...header.keys, log: keys } }, ...rest]))
    assert.ok(kinds(report).includes('key'), JSON.stringify(keys))
    assert.ok(!report.intact)
  }
  const stranger = verifierKeyOf(newSigner(originOf('build-box')), 1)
  const report = await verify(log.export(), { keys: [stranger], since: null })
  assert.deepEqual([report.intact, found(report)], [false, [['key', 1, 12]]])
  const notAuditor = { ...header, keys: { ...header.keys, auditor: other } }
  assert.ok(kinds(await verify(write([notAuditor, ...rest]))).includes('key'))
})

test('an announcement has to be of a key of this log, after the one that was in use', async () => {
  for (const detail of [
    { epoch: 2, publicKey: 'nonsense', previous: null },
    { epoch: 2, publicKey: formatVerifierKey(verifierKeyOf(newSigner(originOf('other-box')), 1)), previous: null },
    { epoch: 3, publicKey: formatVerifierKey(verifierKeyOf(newSigner(originOf('build-box')), 1)), previous: null },
    {},
  ]) {
    const log = twelve()
    const signer = newSigner(originOf('build-box'))
    log.signers.push(signer)
    log.append('key.changed', detail)
    log.checkpoint({ by: log.signers })
    const report = await verify(log.export())
    assert.ok(!report.intact)
    assert.ok(kinds(report).some((kind) => kind === 'key' || kind === 'epoch'))
  }
})

test('what the service says of an entry that the database finds by something else is a fault of it', async () => {
  const lines = parse(twelve().export())
  const fault: ExportLine = { type: 'fault', seq: 6, what: 'owner' }
  const report = await verify(write(lines.toSpliced(placeOf(lines, 6) + 1, 0, fault)))
  assert.deepEqual([report.intact, report.complete, found(report)], [false, true, [['index', 6, 6]]])
})

test('an export in which lines are missing, strange or in the wrong place is no export', async () => {
  const lines = twelve().export()
  const header = lines[0] ?? assert.fail()
  const checkpoint = lines.findIndex((line) => line.includes('"checkpoint"'))
  for (const other of [
    [],
    [''],
    lines.slice(1),
    [header, ...lines],
    [...lines, lines[1] ?? ''],
    lines.toSpliced(3, 0, ''),
    lines.toSpliced(3, 0, '{'),
    lines.toSpliced(3, 0, '{"type":"entry","seq":0,"entry":""}'),
    lines.toSpliced(3, 0, '{"type":"entry","seq":1e99,"entry":""}'),
    lines.toSpliced(3, 0, '{"type":"other"}'),
    lines.toSpliced(3, 0, `{"type":"entry","seq":3,"entry":"${'A'.repeat(maxExportLineLength)}"}`),
    lines.toSpliced(3, 0, 'null'),
    // A checkpoint has to stand after its last entry.
    [...lines.slice(0, 3), lines[checkpoint] ?? '', ...lines.slice(3)].toSpliced(checkpoint + 1, 1),
    lines.toSpliced(checkpoint + 2, 0, lines[checkpoint] ?? '').toSpliced(checkpoint, 1),
  ]) {
    const report = await verify(other)
    assert.ok(kinds(report).includes('form'), JSON.stringify(other).slice(0, 300))
    assert.deepEqual([report.intact, report.complete], [false, false])
  }
})

test('a log that is wrong from beginning to end has a short report', async () => {
  const log = new TestAuditLog('other-box')
  log.rotate()
  for (let n = 0; n < 3 * maxAuditFaults; n += 1) log.append()
  const [header, ...rest] = parse(log.export())
  assert.ok(header?.type === 'log')
  const report = await verify(write([{ ...header, host: 'build-box' }, ...rest]))
  assert.ok(found(report).some(([kind, from, to]) => kind === 'host' && from === 1 && to === 301))
  assert.ok(report.faults.length < 10)
  // Each second entry is gone: these are not neighbours.
  const holes = rest.filter((line) => line.type !== 'entry' || line.seq % 2 === 0)
  const many = await verify(write([header, ...holes]))
  assert.equal(many.faults.length, maxAuditFaults)
  assert.ok(many.faultsLeftOut > 0)
  assert.deepEqual([many.intact, many.complete], [false, false])
})

test('what a fault says repeats nothing of the log', async () => {
  const log = new TestAuditLog('evil')
  log.rotate()
  log.append('session.started', { evil: '\u001b]0;evil\u0007' })
  log.checkpoint({ by: [newSigner('evil')] })
  const [header, ...rest] = change(parse(log.export()), 2, '"evil":', '"evil2":')
  assert.ok(header?.type === 'log')
  const keys = { log: [{ epoch: 7, vkey: 'evil\u001b[31m', fromSeq: 1 }], auditor: 'evil' }
  const report = await verify(write([{ ...header, host: '\u001b[31mevil', keys }, ...rest]), {
    keys: [],
    since: 'evil',
  })
  assert.ok(report.faults.length > 0)
  for (const { says } of report.faults) assert.match(says, /^(?:(?!evil)[a-z' ,])+$/)
})

const bites = fc.record({
  line: fc.nat(),
  at: fc.nat(),
  with: fc.oneof(fc.constant(''), fc.string({ unit: 'binary', minLength: 1, maxLength: 3 })),
})

test('whatever happens to one line, it is found, or says nothing of the log', async () => {
  const log = twelve()
  const lines = log.export()
  await fc.assert(
    fc.asyncProperty(bites, async ({ line, at, with: instead }) => {
      const n = line % lines.length
      const text = lines[n] ?? ''
      const bitten = text.slice(0, at % text.length) + instead + text.slice((at % text.length) + 1)
      const before = parseExportLine(text)
      const after = parseExportLine(bitten)
      fc.pre(JSON.stringify(before) !== JSON.stringify(after))
      const report = await verify(lines.with(n, bitten), anchorsOf(log))
      // Who the export says the auditor is, and a cosignature of nobody's, count for nothing where the auditor's key is known.
      const { auditor: _, ...keys } = before?.type === 'log' ? before.keys : { auditor: null }
      const words = before?.type === 'log' ? { ...before, keys } : { ...before, cosignatures: [] }
      const said = after?.type === 'log' ? { ...after, keys: { log: after.keys.log } } : { ...after, cosignatures: [] }
      if (JSON.stringify(words) !== JSON.stringify(said)) assert.ok(!report.intact || !report.complete, bitten)
      if (report.intact && report.complete) assert.equal(report.size, 12)
    }),
    { numRuns: 300 },
  )
})
