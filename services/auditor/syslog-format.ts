// One entry as one message of syslog (RFC 5424). Canonical JSON has no line break and no control character in it.

import { auditEntryId } from '@teleclaude/core/audit.ts'
import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import { identify, type RenderEntry } from './render.ts'

/** Security/authorization messages (private): what reads `authpriv` is what may know who looked at what. */
const facility = 10
const alert = 1
const notice = 5
const informational = 6

/** 32473 is the enterprise number that stands for whoever has none (RFC 5612). */
const structuredId = 'teleclaude@32473'

export function toSyslog(entry: StoredAuditEntry, render: RenderEntry, processId: number): Buffer {
  const said = identify(entry)
  const priority = facility * 8 + severityOf(said.action)
  // TIMESTAMP has at most six digits after the second: `at` has six (RFC 5424, section 6.2.3).
  const header = `<${priority}>1 ${said.at} ${said.host} teleclaude ${processId} ${token(said.action, 32)}`
  const id = auditEntryId(said).replaceAll(/["\\\]]/g, String.raw`\$&`)
  return Buffer.from(`${header} [${structuredId} id="${id}"] ${render(entry)}`, 'utf8')
}

function severityOf(action: string): number {
  if (action === 'alarm.raised') return alert
  return action === 'key.changed' ? notice : informational
}

/** PRINTUSASCII of the length; `-` says that there is none. */
function token(text: string, maxLength: number): string {
  return text.replaceAll(/[^!-~]/g, '').slice(0, maxLength) || '-'
}

/** RFC 6587, section 3.4.1, and RFC 5425, section 4.3: the length in octets, a space, the message. */
export function frame(message: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${message.length} `, 'latin1'), message])
}
