// The keys below `audit`: what is asked of the audit log before content is shown, and where the auditor ships it.

import { parseVerifierKey } from '@teleclaude/core/signed-note.ts'
import { z } from 'zod'
import { key, noGroup, says } from './facts.ts'
import { absolutePath } from './paths.ts'
import { secretReference } from './secrets.ts'

const requirements = ['committed', 'cosigned'] as const
const onAlarms = ['warn', 'refuse'] as const
const formats = ['native', 'ocsf'] as const

const sinkName = z
  .string(says('is not text'))
  .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'is no name of a sink (1 to 64 of a-z, 0-9, dot, dash and underscore)')

/** RFC 3986 without userinfo: a password stands in a secret. Plain HTTP reaches this machine alone. */
const httpsUrl = z
  .string(says('is not text'))
  .max(2000, 'is longer than 2000 characters')
  .superRefine((text, context) => {
    const problem = urlProblem(text)
    if (problem !== null) context.addIssue({ code: 'custom', message: problem })
  })

function urlProblem(text: string): string | null {
  const url = URL.parse(text)
  if (url === null) return 'is no URL'
  if (url.username !== '' || url.password !== '') return 'holds a name or a password, which everybody could read'
  if (url.hash !== '') return 'has a fragment (#), which is never sent'
  const isThisMachine = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isThisMachine)) return null
  return 'is no URL that begins with https://'
}

/** `logs.example:6514`, `[2001:db8::1]:601` */
const hostAndPort = z
  .string(says('is not text'))
  .regex(/^(\[[0-9a-fA-F:.]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?):([1-9]\d{0,4})$/, 'is no HOST:PORT')
  .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535, 'has a port above 65535')

const urlKey = (what: string) =>
  key(httpsUrl, {
    description: `Where ${what}: an https:// URL; on this machine also http://.`,
    mend: 'write an https:// URL without name and password',
  })
const caFile = key(absolutePath.optional(), {
  description: 'Certificates, in PEM, of those who may have signed that of the other side. Default: those of Node.',
  mend: 'write the absolute path of a file, or take it away',
})
const count = (least: number, most: number) =>
  z.int(says('is no whole number')).min(least, `is below ${least}`).max(most, `is above ${most}`)

const sinkKeys = {
  file: z
    .strictObject(
      {
        max_mb: key(count(1, 1_000_000).optional(), {
          description: 'A file that is larger than this is closed and numbered, and a new one begun. Default: 256.',
          mend: 'write a whole number from 1 to 1000000, or take it away for 256',
        }),
        keep_files: key(count(1, 1_000_000).optional(), {
          description:
            'How many of the closed files are kept, once the other sinks have what is in them. Default: all of them.',
          mend: 'write a whole number from 1 to 1000000, or take it away to keep all',
        }),
      },
      noGroup,
    )
    .nullish(),
  syslog: z
    .strictObject(
      {
        socket: key(absolutePath.optional(), {
          description: "The socket of this machine's syslog, such as /dev/log.",
          mend: 'write the absolute path of a socket',
        }),
        tcp: key(hostAndPort.optional(), {
          description:
            'HOST:PORT of a receiver over TCP (RFC 6587): readable on the way, and sent, but never confirmed.',
          mend: 'write HOST:PORT, such as logs.example:601',
        }),
        tls: key(hostAndPort.optional(), {
          description: 'HOST:PORT of a receiver over TLS (RFC 5425): sent, but never confirmed.',
          mend: 'write HOST:PORT, such as logs.example:6514',
        }),
        ca_file: caFile,
      },
      noGroup,
    )
    .refine(({ socket, tcp, tls }) => [socket, tcp, tls].filter((to) => to !== undefined).length === 1, {
      error: 'has not exactly one of socket, tcp and tls',
    })
    .optional(),
  webhook: z
    .strictObject(
      {
        url: urlKey('entries are posted, signed as Standard Webhooks are'),
        secret: key(secretReference, {
          description: 'The secret that they are signed with: whsec_ and 24 to 64 bytes in base64.',
          mend: 'write { secret: NAME }, and the value into secrets.yml',
        }),
        ca_file: caFile,
      },
      noGroup,
    )
    .optional(),
  otlp: z
    .strictObject(
      {
        url: urlKey('logs are posted (OTLP over HTTP), such as https://collector.example:4318/v1/logs'),
        headers: key(secretReference.optional(), {
          description: 'Headers that let us in, as lines of "Name: value".',
          mend: 'write { secret: NAME }, and the value into secrets.yml',
        }),
        ca_file: caFile,
      },
      noGroup,
    )
    .optional(),
}
export type SinkKind = keyof typeof sinkKeys
const sinkKinds = Object.keys(sinkKeys) as readonly SinkKind[]

const sinkSchema = z
  .strictObject(
    {
      name: key(sinkName.optional(), {
        description: 'What the sink is called in status and messages. Default: its kind.',
        mend: 'write a name such as siem, or take it away',
      }),
      format: key(z.enum(formats, says('is no format')).optional(), {
        description:
          'native: the exact bytes that the log is made of. ocsf: the Open Cybersecurity Schema Framework. Default: native.',
        mend: `write one of ${formats.join(', ')}, or take it away for native`,
      }),
      ...sinkKeys,
    },
    noGroup,
  )
  .refine((sink) => sinkKinds.filter((kind) => sink[kind] !== undefined).length === 1, {
    error: `has not exactly one of ${sinkKinds.join(', ')}`,
  })
export type WrittenSink = z.output<typeof sinkSchema>

export function sinkNameOf(sink: WrittenSink): string {
  return sink.name ?? sinkKinds.find((kind) => sink[kind] !== undefined) ?? ''
}

export const sinksSchema = z
  .array(sinkSchema, says('is no list'))
  .min(1, 'is empty')
  .max(32, 'has more than 32 sinks')
  .superRefine((sinks, context) => {
    const seen = new Set<string>()
    for (const [index, sink] of sinks.entries()) {
      const name = sinkNameOf(sink)
      if (seen.has(name))
        context.addIssue({ code: 'custom', path: [index], message: `is a second sink called ${name}` })
      seen.add(name)
      // Where the auditor's own comparison reads it.
      if (sink.file !== undefined && sink.format === 'ocsf')
        context.addIssue({
          code: 'custom',
          path: [index, 'format'],
          message: 'is ocsf, and the file is what verify compares',
        })
    }
    if (sinks.filter(({ file }) => file !== undefined).length > 1)
      context.addIssue({ code: 'custom', message: 'has more than one file' })
  })

export const auditKeys = {
  directory: key(absolutePath.optional(), {
    description:
      'Where the auditor keeps its files. Default: /var/log/teleclaude (macOS: /usr/local/var/log/teleclaude).',
    mend: 'write an absolute path, or take it away',
    applies: 'restart',
    variable: 'TELECLAUDE_AUDIT_DIR',
  }),
  require: key(z.enum(requirements, says('is nothing that can be required')).optional(), {
    description:
      "What has to be true of an entry before somebody else's content is shown: that the database has it (committed), or that the auditor has signed for it, too (cosigned). Default: committed.",
    mend: `write one of ${requirements.join(', ')}, or take it away for committed`,
    applies: 'live',
  }),
  on_alarm: key(z.enum(onAlarms, says('is nothing that can be done')).optional(), {
    description:
      "What happens when the auditor finds the log to be wrong: warn, or refuse to show anybody else's content until an admin has looked (telec audit acknowledge). Default: warn.",
    mend: `write one of ${onAlarms.join(', ')}, or take it away for warn`,
    applies: 'live',
  }),
  auditor_key: key(
    z
      .string(says('is not text'))
      .refine((text) => parseVerifierKey(text) !== null, 'is no verifier key (NAME+KEYID+KEY)')
      .optional(),
    {
      description:
        "The public key of this host's auditor, as auditor status shows it: with any other, nobody's signature counts, whatever the database says. Default: the one that the database names.",
      mend: 'write the line that auditor status shows as its key, or take it away',
      applies: 'live',
    },
  ),
  sinks: key(sinksSchema.nullish(), {
    description: 'Where the auditor ships the audit log. Default: one file in its directory.',
    mend: 'write a list: each entry begins with "- file:", "- syslog:", "- webhook:" or "- otlp:"',
    applies: 'restart',
  }),
}
export const auditSchema = z.strictObject(auditKeys, noGroup)
