import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { type Column, renderTable } from './table.ts'
import { displayWidth } from './terminal-text.ts'

type Row = { readonly id: string; readonly age: string; readonly title: string }

const columns: readonly Column<Row>[] = [
  { title: 'ID', value: (row) => row.id, style: () => 'cyan' },
  { title: 'AGE', value: (row) => row.age, align: 'right' },
  { title: 'TITLE', value: (row) => row.title, flexible: true },
]
const rows: readonly Row[] = [
  { id: '1f', age: '5s', title: 'fix the build' },
  { id: '漢字', age: '12m', title: '' },
  { id: '', age: '', title: 'x' },
]

describe('a table', () => {
  test('is aligned by the columns that text takes, without blanks at the end of a line', () => {
    assert.equal(
      renderTable(rows, columns, { width: null, colour: false }),
      ['ID    AGE  TITLE', '1f     5s  fix the build', '漢字  12m', '           x', ''].join('\n'),
    )
  })

  test('without rows has its titles', () => {
    assert.equal(renderTable([], columns, { width: 80, colour: false }), 'ID  AGE  TITLE\n')
  })

  test('cuts its flexible column to the terminal, but leaves something of it', () => {
    assert.equal(renderTable(rows, columns, { width: 20, colour: false }).split('\n')[1], '1f     5s  fix the …')
    assert.equal(renderTable(rows, columns, { width: 5, colour: false }).split('\n')[1], '1f     5s  fix the…')
  })

  test('cuts nothing where there is no terminal', () => {
    const title = 'x'.repeat(5000)
    assert.ok(renderTable([{ id: '1', age: '1s', title }], columns, { width: null, colour: false }).includes(title))
  })

  test('has colours outside of its widths', () => {
    const coloured = renderTable(rows, columns, { width: 20, colour: true })
    assert.match(coloured, new RegExp(`${String.fromCharCode(27)}\\[36m1f`))
    assert.equal(stripVTControlCharacters(coloured), renderTable(rows, columns, { width: 20, colour: false }))
  })

  test('has a line for each row and fits the terminal, whatever is in its cells', () => {
    const text = fc.string({ unit: 'binary', maxLength: 30 })
    const hostile = fc.array(
      fc.record({ id: fc.stringMatching(/^[0-9a-f]{1,8}$/), age: fc.constant('5s'), title: text }),
    )
    fc.assert(
      fc.property(hostile, fc.integer({ min: 30, max: 120 }), (some, width) => {
        const lines = renderTable(some, columns, { width, colour: false }).split('\n')
        assert.equal(lines.length, some.length + 2)
        for (const line of lines) {
          assert.ok(displayWidth(line) <= width)
          assert.doesNotMatch(line, /[\p{Cc}\p{Bidi_Control}]/u)
        }
      }),
    )
  })
})
