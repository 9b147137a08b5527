// `telec audit proof` and `verify-proof`: that an entry is in the log, for whoever has nothing but the public keys.

import { maxProofFileLength, type ProofReport, proofFileSchema, verifyProofFile } from '@teleclaude/core/audit-proof.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { readKeysFile, readText } from '../audit/keys-file.ts'
import { exitCodes, Failure } from '../failure.ts'
import { printJson, toJson } from '../output/json.ts'
import { refuseTerminal, writeOut } from '../output/new-file.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { fullId } from '../session/find.ts'
import { readGrants } from '../session/grants.ts'

/** Proofs of one grant: an entry when it is opened, ended, and two for each view. */
const maxProofs = 10_000

export async function writeProof(
  seq: number | undefined,
  options: ServiceOptions & { readonly grant?: string; readonly output?: string },
): Promise<number> {
  const { grant, output } = options
  if ((seq === undefined) === (grant === undefined)) {
    const why = seq === undefined ? 'nothing says of what' : 'there is an entry and a grant'
    throw new Failure(exitCodes.usage, `cannot prove anything: ${why}; give the number of an entry, or --grant ID`)
  }
  refuseTerminal('a proof', output)
  const answer = await withService(options, async (client) => {
    if (grant === undefined) return client.readProof({ seq: seq ?? 0 })
    return client.readProof({ grant: await findGrant(client, grant) })
  })
  const lines = splitProofs(answer)
  await writeOut(lines, output)
  return 0
}

/** Also one that has ended. */
async function findGrant(client: Parameters<typeof readGrants>[0], id: string): Promise<string> {
  const wanted = id.toLowerCase()
  if (fullId.test(wanted)) return wanted
  const { grants } = await readGrants(client, {}, Number.POSITIVE_INFINITY)
  const found = wanted === '' ? [] : grants.filter((grant) => grant.id.startsWith(wanted))
  const [first] = found
  if (first !== undefined && found.length === 1) return first.id
  const why = first === undefined ? 'no id of one begins so' : 'the id of more than one begins so'
  throw new Failure(exitCodes.data, `cannot find the grant ${neutralise(id)}: ${why}; \`telec access ls\` shows them`)
}

/** A line each. */
async function* splitProofs(answer: string): AsyncGenerator<string> {
  const parsed: unknown = JSON.parse(answer)
  const list = typeof parsed === 'object' && parsed !== null && 'proofs' in parsed ? parsed.proofs : [parsed]
  for (const proof of proofFileSchema.array().parse(list)) yield `${toJson(proof)}\n`
}

/** Returns 0 where every proof in the file holds, else 65. */
export function verifyProof(file: string, options: { readonly keys: string; readonly json?: true }): number {
  const { vkeys } = readKeysFile(options.keys)
  const reports = readProofs(file).map((text) => verifyProofFile(text, vkeys))
  const holds = reports.every((report) => report.holds)
  if (options.json) printJson({ holds, proofs: reports })
  else for (const report of reports) process.stdout.write(describe(report))
  return holds ? 0 : exitCodes.data
}

/** A file has one proof, in whatever form, or one a line. */
function readProofs(file: string): readonly string[] {
  const text = readText(file, maxProofFileLength * 8)
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  const isOnePerLine = lines.length > 1 && lines.every((line) => line.startsWith('{') && line.endsWith('}'))
  const proofs = isOnePerLine ? lines : [text]
  if (proofs.length > maxProofs)
    throw new Failure(exitCodes.data, `cannot read ${file}: it has over ${maxProofs} proofs`)
  return proofs
}

function describe({ holds, faults, entry, signedBy, cosignedBy, texts }: ProofReport): string {
  if (!holds) return `The proof does not hold: ${faults.map(neutralise).join('; ')}.\n`
  const { seq, host, at, action, actor, session, detail } = entry ?? {}
  const who = actor?.person ?? ('name' in (actor ?? {}) ? String(actor?.name) : 'nobody that the service knew')
  const facts: readonly (readonly [string, string])[] = [
    ['what', String(action)],
    ['when', String(at)],
    ['who', who],
    ...(session == null ? [] : [['session', `${session.id} of ${session.owner}`] as const]),
    ...Object.entries({ ...detail, ...texts })
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, String(value)] as const),
    ['signed by', signedBy.join(', ')],
    [
      'cosigned by',
      cosignedBy.map(({ name, timeS }) => `${name} at ${new Date(timeS * 1000).toISOString()}`).join(', ') || 'nobody',
    ],
  ]
  const width = Math.max(...facts.map(([name]) => name.length))
  const lines = facts.map(([name, value]) => `  ${neutralise(name.padEnd(width))}  ${neutralise(value)}\n`)
  return `Entry ${seq} of the log of ${neutralise(String(host))} holds:\n${lines.join('')}`
}
