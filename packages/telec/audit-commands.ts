// `telec audit`: the record of who did what, and whether it still is what it was. Each command's module is loaded when it is used.

import { type Command, Option } from 'commander'
import { parseInstant } from './output/instant.ts'
import { parseCount } from './session-commands.ts'

type Finish = (exitCode: number) => void

const json = () => new Option('--json', 'print one JSON object')
const output = () => new Option('-o, --output <file>', 'write it into this new file; `-` for a terminal')
const keys = () => new Option('--keys <file>', 'the public keys to trust, as `telec audit keys` printed them')

export function defineAuditCommands(program: Command, finish: Finish): void {
  const socket = () => program.opts<{ socket?: string }>()
  const audit = program.command('audit').description('the record of who did what to what, and proof that it is whole')
  defineReading(audit, finish, socket)
  defineProving(audit, finish, socket)
  defineKeeping(audit, finish, socket)
}

type Socket = () => { socket?: string }

function defineReading(audit: Command, finish: Finish, socket: Socket): void {
  const filters = (command: Command): Command =>
    command
      .option('--session <id>', 'only what is about this session')
      .option('--action <name>', 'only this action: access.opened, content.delivered, ...')
      .addOption(
        new Option('--since <time>', 'from then on: 2h, 7d, 2026-01-31, or with a time').argParser(parseInstant),
      )
      .addOption(new Option('--until <time>', 'up to then').argParser(parseInstant))
      .addOption(new Option('-n, --limit <number>', 'at most this many').argParser(parseCount))
      .option('--all', 'all there are')
      .addOption(json())
  filters(audit.command('ls'))
    .description('what was done, newest first')
    .option('--actor <person>', 'only what this person did')
    .option('--owner <person>', 'only what was done with sessions of this person')
    .action(async (options) => {
      const { listAudit } = await import('./commands/audit.ts')
      finish(await listAudit({ ...options, ...socket() }))
    })
  filters(audit.command('mine'))
    .description('what you did, and what was done with your sessions, newest first')
    .action(async (options) => {
      const { listAudit } = await import('./commands/audit.ts')
      finish(await listAudit({ ...options, mine: true, ...socket() }))
    })
}

function defineProving(audit: Command, finish: Finish, socket: Socket): void {
  audit
    .command('verify')
    .description('read the whole log and check it here: each entry, the tree over them, who signed and cosigned it')
    .addOption(keys())
    .option('--since <file>', 'a checkpoint kept from earlier: nothing of what it covers may be missing or another')
    .option('--recordings', 'also what was recorded of each session, against the log')
    .addOption(json())
    .action(async (options) => {
      const { verifyLog } = await import('./commands/audit-verify.ts')
      finish(await verifyLog({ ...options, ...socket() }))
    })
  audit
    .command('export')
    .description('the whole log as JSON Lines, to verify or to keep')
    .addOption(output())
    .action(async (options) => {
      const { exportLog } = await import('./commands/audit-export.ts')
      finish(await exportLog({ ...options, ...socket() }))
    })
  audit
    .command('proof')
    .description('a proof that an entry is in the log, or all of those about an access grant; it verifies offline')
    .argument('[seq]', 'the number of the entry', parseCount)
    .option('--grant <grant>', 'an access grant on one of your sessions; as an admin any')
    .addOption(output())
    .action(async (seq: number | undefined, options) => {
      const { writeProof } = await import('./commands/audit-proof.ts')
      finish(await writeProof(seq, { ...options, ...socket() }))
    })
  audit
    .command('verify-proof')
    .description('check a proof with the public keys alone; needs no service')
    .argument('<file>', 'the proof')
    .addOption(keys().makeOptionMandatory())
    .addOption(json())
    .action(async (file: string, options) => {
      const { verifyProof } = await import('./commands/audit-proof.ts')
      finish(verifyProof(file, options))
    })
  audit
    .command('keys')
    .description('the public keys of the log and of its auditor: keep them where the service can not change them')
    .addOption(json())
    .action(async (options) => {
      const { printKeys } = await import('./commands/audit-keys.ts')
      finish(await printKeys({ ...options, ...socket() }))
    })
  audit
    .command('checkpoint')
    .description('the signed statement of how long the log is, and its root, to keep for `verify --since`')
    .addOption(json())
    .action(async (options) => {
      const { printCheckpoint } = await import('./commands/audit-keys.ts')
      finish(await printCheckpoint({ ...options, ...socket() }))
    })
  audit
    .command('drill')
    .description('tamper with a copy of the log in every way, and show that each is found')
    .addOption(keys())
    .addOption(json())
    .action(async (options) => {
      const { drillLog } = await import('./commands/audit-drill.ts')
      finish(await drillLog({ ...options, ...socket() }))
    })
}

function defineKeeping(audit: Command, finish: Finish, socket: Socket): void {
  audit
    .command('state')
    .description('how the log is kept: what is signed, cosigned and shipped, and whether anything is wrong')
    .addOption(json())
    .action(async (options) => {
      const { showState } = await import('./commands/audit-state.ts')
      finish(await showState({ ...options, ...socket() }))
    })
  audit
    .command('alarms')
    .description('what the auditor found wrong with the log')
    .addOption(json())
    .action(async (options) => {
      const { listAlarms } = await import('./commands/audit-state.ts')
      finish(await listAlarms({ ...options, ...socket() }))
    })
  audit
    .command('acknowledge')
    .description('say that you have looked at an alarm; what is wrong stays wrong')
    .argument('<alarm>', 'the id of an alarm, or the beginning of one')
    .requiredOption('--note <text>', 'what you found: one line, on the record')
    .action(async (alarm: string, options) => {
      const { acknowledge } = await import('./commands/audit-state.ts')
      finish(await acknowledge(alarm, { ...options, ...socket() }))
    })
  audit
    .command('rotate-key')
    .description('sign the log with a new key from now on, which the present one announces')
    .option('-y, --yes', 'do not ask')
    .action(async (options) => {
      const { rotateKey } = await import('./commands/audit-keys.ts')
      finish(await rotateKey({ ...options, ...socket() }))
    })
}
