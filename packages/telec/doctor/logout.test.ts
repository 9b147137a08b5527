import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judgeLogout, parseRules } from './logout.ts'

const available = { kind: 'available', command: [] } as const
const notLingering = { kind: 'not-lingering', why: 'alice does not linger' } as const
const noManager = { kind: 'no-manager', why: 'the systemd of alice does not listen' } as const
const leaves = { killUserProcesses: false, onlyUsers: [], excludedUsers: ['root'] }
const kills = { ...leaves, killUserProcesses: true }

test('what logind says, as busctl prints it', () => {
  const said = '{"type":"b","data":true}\n{"type":"as","data":[]}\n{"type":"as","data":["root"]}\n'
  assert.deepEqual(parseRules(said), kills)
  assert.throws(() => parseRules('{"type":"b","data":true}\n'))
  assert.throws(() => parseRules('Failed to get property\n'))
})

test('who lingers has nothing to fear of a logout', () => {
  assert.equal(judgeLogout(available, 'alice', null).state, 'ok')
})

test('without lingering it is for logind to say, and lingering mends it', () => {
  assert.equal(judgeLogout(notLingering, 'alice', leaves).state, 'ok')
  const finding = judgeLogout(notLingering, 'alice', kills)
  assert.equal(finding.state, 'warn')
  assert.match(finding.what, /^ends your sessions: alice does not linger, and logind ends what a logout leaves$/)
  assert.match(finding.mend ?? '', /^loginctl enable-linger /)
})

test('who lingers and has no manager hears how to get one', () => {
  assert.match(judgeLogout(noManager, 'alice', kills).mend ?? '', /^sudo systemctl restart user@\d+\.service /)
})

test('who is excluded is left alone, and where some are named, nobody else is ended', () => {
  const states = [
    { ...kills, excludedUsers: ['alice'], onlyUsers: ['alice'] },
    { ...kills, onlyUsers: ['bob'] },
    { ...leaves, onlyUsers: ['alice'] },
  ].map((rules) => judgeLogout(notLingering, 'alice', rules).state)
  assert.deepEqual(states, ['ok', 'ok', 'warn'])
  assert.equal(judgeLogout(notLingering, 'root', { ...kills, excludedUsers: [] }).state, 'ok')
})

test('where logind does not say, it is a warning', () => {
  const finding = judgeLogout(notLingering, 'alice', 'it is not there')
  assert.equal(finding.state, 'warn')
  assert.match(finding.what, /^may end your sessions: .* it is not there$/)
})
