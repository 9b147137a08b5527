// What holds for every original: nothing is lost, nothing secret is left in the open, and whatever can't be split is refused with
// its place.

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { parse, stringify } from 'yaml'
import { ConfigError } from '../config-error.ts'
import { formatReport } from './report.ts'
import { splitConfig } from './split.ts'

const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
after(() => rmSync(directory, { recursive: true }))
const from = join(directory, 'old.yml')
const env = join(directory, 'old.env')
const people = join(directory, 'teleclaude.yml')

function split(texts: { readonly config: string; readonly env: string; readonly people: string }) {
  const to = mkdtempSync(join(directory, 'new-'))
  writeFileSync(from, texts.config)
  writeFileSync(env, texts.env)
  writeFileSync(people, texts.people)
  const options = { from, env, people, to, dryRun: false }
  const report = splitConfig(options)
  const [config, secrets, personal] = ['config', 'secrets', 'personal'].map((layer) =>
    readFileSync(join(to, `${layer}.yml`), 'utf8'),
  )
  assert.deepEqual(
    [from, env, people].map((file) => readFileSync(file, 'utf8')),
    [texts.config, texts.env, texts.people],
  )
  const again = splitConfig(options)
  assert.ok(again.files.every(({ state }) => state === 'unchanged'))
  const said = `${formatReport(report, { width: null, colour: false })}${JSON.stringify(report)}`
  return { config: config ?? '', secrets: secrets ?? '', personal: personal ?? '', said }
}

type Tree = unknown
const secret = fc.stringMatching(/^[A-Za-z0-9+/]{12,40}$/)
const formed = fc
  .constantFrom('sk-proj-', 'ghp_', 'glpat-', 'xoxb-')
  .chain((start) => secret.map((end) => `${start}${end.replaceAll(/[+/]/g, 'x')}0123456789`))
const name = fc
  .oneof(
    fc.stringMatching(/^[a-z][a-z_]{0,8}$/),
    fc.constantFrom('1.0', '0x10', 'null', 'yes', '12', 'a: b', '- x', '#', ' ', 'é', '*a', '__proto_', 'constructor'),
  )
  .filter((name) => !/secret|token|password|key|creds|passw/.test(name))
const plain = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom(
    '',
    ' ',
    '12',
    '0031',
    'true',
    '~',
    'a\nb\n',
    '- x',
    'a: b',
    '#',
    "it's",
    '"',
    '\\',
    '{',
    '$',
    '2020-01-01',
  ),
)

/** A tree with what has to be hidden in it, and what that is. */
const tree = fc
  .array(secret, { minLength: 1, maxLength: 4 })
  .chain((secrets) =>
    fc.record({
      secrets: fc.constant(secrets),
      forms: fc.array(formed, { minLength: 1, maxLength: 3 }),
    }),
  )
  .chain(({ secrets, forms }) => {
    const known = fc.constantFrom(...secrets)
    const hidden = fc.oneof(known, fc.constantFrom(...forms))
    const { tree } = fc.letrec<{ tree: Tree; group: Tree }>((tie) => ({
      group: fc
        .tuple(
          fc.dictionary(name, tie('tree'), { maxKeys: 4, noNullPrototype: true }),
          fc.dictionary(fc.constantFrom('password', 'bot_token', 'apiKey', 'client-secret'), hidden, {
            maxKeys: 2,
            noNullPrototype: true,
          }),
        )
        .map(([open, closed]) => ({ ...open, ...closed })),
      tree: fc.oneof(
        { maxDepth: 4, depthSize: 'small' },
        plain,
        fc.constantFrom(...forms),
        known.map((text) => `before ${text} behind`),
        fc.array(tie('tree'), { maxLength: 3 }),
        tie('group'),
      ),
    }))
    return fc.record({
      // One at least stands where it is known by.
      config: fc
        .dictionary(fc.constantFrom('redis', 'discord', 'mcp', 'tts', 'other'), tree, { noNullPrototype: true })
        .map((config) => ({
          computer: { role: 'r' },
          ...config,
          hooks: secrets.map((password) => ({ password })),
        })),
      people: fc.dictionary(fc.constantFrom('jobs', 'interests', 'hooks'), tree, { noNullPrototype: true }),
      secrets: fc.constant([...secrets, ...forms]),
    })
  })

/** With the values of secrets in the place of references to them. */
function restore(value: unknown, secrets: ReadonlyMap<string, unknown>): unknown {
  if (Array.isArray(value)) return value.map((item) => restore(item, secrets))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  const [[key, name] = []] = entries
  if (entries.length === 1 && key === 'secret' && typeof name === 'string' && secrets.has(name))
    return secrets.get(name)
  return Object.fromEntries(entries.map(([key, inner]) => [key, restore(inner, secrets)]))
}

function legacyOf(text: string): object {
  return parse(text)?.legacy ?? {}
}

test('whatever is in the originals is in the results, and what is secret is in the file of secrets alone', () => {
  fc.assert(
    fc.property(tree, fc.boolean(), ({ config, people, secrets: hidden }, flow) => {
      const print = (tree: object) =>
        stringify(tree, { lineWidth: flow ? 20 : 80, collectionStyle: flow ? 'flow' : 'any' })
      const results = split({ config: print(config), env: '', people: print(people) })
      const secrets = new Map(Object.entries(legacyOf(results.secrets)))
      const restored = { ...legacyOf(results.config), ...legacyOf(results.personal) }
      const expected: Record<string, unknown> = { ...parse(print(config)) }
      for (const [key, value] of Object.entries(parse(print(people)))) {
        // Both have hooks.
        expected[key in expected ? `${key}_2` : key] = value
      }
      assert.deepEqual(restore(restored, secrets), expected)
      for (const text of [results.config, results.personal, results.said])
        assert.ok(!hidden.some((secret) => text.includes(secret)))
    }),
    { numRuns: 100 },
  )
})

test('variables are filled in where they are open, and hidden where they are not', () => {
  const variable = fc.record({
    name: fc.stringMatching(/^[A-Z]{3,6}$/),
    value: fc.stringMatching(/^[a-z0-9/.]{10,20}$/),
  })
  const variables = fc.uniqueArray(variable, { selector: ({ name }) => name, minLength: 2, maxLength: 6 })
  const part = fc.nat(9).map((index) => ({ index }))
  const text = fc.array(fc.oneof(part, fc.stringMatching(/^[ a-z:/-]{0,5}$/)), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(variables, fc.array(text, { maxLength: 6 }), fc.nat(5), (variables, texts, split0) => {
      const named = variables.map(({ name, value }, index) => ({
        name: index <= split0 % variables.length ? `${name}_TOKEN` : name,
        value: `${value}${index}`,
      }))
      const pick = (index: number) => named[index % named.length] ?? { name: '', value: '' }
      const write = (show: (variable: { name: string; value: string }) => string) =>
        texts.map((parts) => parts.map((part) => (typeof part === 'string' ? part : show(pick(part.index)))).join(''))
      const results = split({
        config: stringify({ computer: {}, list: write(({ name }) => `\${${name}}`) }),
        env: named.map(({ name, value }) => `${name}=${value}\n`).join(''),
        people: '',
      })
      const secrets = new Map(Object.entries(legacyOf(results.secrets)))
      const restored = restore(legacyOf(results.config), secrets)
      const open = named.filter(({ name }) => !name.endsWith('_TOKEN'))
      assert.deepEqual(restored, {
        computer: {},
        list: write(({ value }) => value),
        ...(open.length === 0 ? {} : { environment: Object.fromEntries(open.map(({ name, value }) => [name, value])) }),
      })
      for (const { name, value } of named) {
        if (name.endsWith('_TOKEN')) assert.ok(![results.config, results.said].some((text) => text.includes(value)))
      }
    }),
    { numRuns: 100 },
  )
})

test('whatever is put in, there are results, or an error with its place', () => {
  const golden = join(import.meta.dirname, 'golden')
  const samples = readdirSync(golden).map((name) => readFileSync(join(golden, name, 'config.yml'), 'utf8'))
  const environment = readFileSync(join(golden, '2026-full', 'old.env'), 'utf8')
  const piece = fc.constantFrom(
    ': ',
    '- ',
    '\n',
    '\n  ',
    '&a ',
    '*a',
    '<<: *a\n',
    '{',
    '}',
    '[',
    ']',
    '#',
    '"',
    "'",
    '|',
    '>',
    '!!str ',
    '!x ',
    '?',
    '---\n',
    '\t',
    '\r',
    '~',
    ', ',
    '%',
    '\0',
    '$' + '{A}',
    '=',
    'null',
    '@',
    '`',
  )
  /** A sample with something put in or taken out here and there. */
  const spoilt = (texts: readonly string[]) =>
    fc
      .tuple(
        fc.constantFrom(...texts),
        fc.array(fc.tuple(fc.nat(), fc.nat(12), fc.oneof(piece, fc.string({ maxLength: 3 }))), { maxLength: 6 }),
      )
      .map(([text, changes]) =>
        changes.reduce((text, [at, count, put]) => {
          const start = at % (text.length + 1)
          return text.slice(0, start) + put + text.slice(start + (put === '' ? count : count % 3))
        }, text),
      )
  const rarely = (arbitrary: fc.Arbitrary<string>, usual: string) =>
    fc.oneof({ weight: 1, arbitrary }, { weight: 4, arbitrary: fc.constant(usual) })
  const any = fc.oneof(
    { weight: 3, arbitrary: spoilt(samples) },
    fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join('')),
  )
  fc.assert(
    fc.property(any, rarely(spoilt([environment]), environment), rarely(any, ''), (config, env, people) => {
      try {
        split({ config, env, people })
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        assert.ok(error.faults.length > 0)
      }
    }),
    { numRuns: 200 },
  )
})
