// The keys of the machine's configuration, config.yml in system mode: who is who, and how the services are deployed. Those of a
// deployment are the same in single-user mode.

import type { GrantedRole } from '@teleclaude/core/people.ts'
import { roles } from '@teleclaude/core/role.ts'
import { z } from 'zod'
import { databaseUrlSchema, hasPassword } from '../database-url.ts'
import { commandExpiryMinutes, limits } from '../defaults.ts'
import { logLevels } from '../log-level.ts'
import { auditSchema } from './audit.ts'
import { key, legacy, noGroup, says } from './facts.ts'
import { secretReference } from './secrets.ts'

const grantedRoles = roles.filter((role): role is GrantedRole => role !== 'public')
/** The greatest uid that can be somebody's: -1 is nobody's (setreuid(2)). */
const maxUid = 0xffff_fffe

/** Anew for each key, because facts belong to one. */
const id = () => z.int(says('is no whole number')).min(0, 'is below 0').max(maxUid, `is above ${maxUid}`)
const role = key(z.enum(grantedRoles, says('is no role')), {
  description: `One of ${grantedRoles.join(', ')}. Those below admin differ by limits, not by what they may see.`,
  mend: `write one of ${grantedRoles.join(', ')}`,
})
const personName = key(
  z
    .string(says('is not text'))
    .regex(
      /^[\p{L}\p{N}][\p{L}\p{N}\p{M} ._@+'-]{0,63}$/u,
      'is no name (1 to 64 letters, digits, and . _ @ + - between them)',
    )
    .refine((name) => !/ $|^uid-\d+$/.test(name), 'is no name for a person'),
  {
    description: 'The name of one person, as it is shown and recorded.',
    mend: 'write the name of one person, such as alice',
  },
)
const osUsername = z.string(says('is not text')).regex(/^[^\s:\p{C}]{1,256}$/u, 'is no name of an account')

function oneOrMore<Item extends z.ZodType>(item: Item) {
  const items = z.array(item, says('is neither one nor a list')).min(1, 'is empty')
  return z.union([item, items]).transform((value) => [value].flat() as z.output<Item>[])
}

function list<Item extends z.ZodType>(item: Item) {
  const items = z.array(item, says('is no list')).nullish()
  return items.transform((written) => written ?? [])
}

export const personSchema = z
  .strictObject(
    {
      name: personName,
      role,
      os_username: key(oneOrMore(osUsername).optional(), {
        description: 'The OS user that is theirs, as `id -un` says it, or a list of such names.',
        mend: 'write what `id -un` says there, or a list of such names; one that is all digits goes in quotes',
      }),
      os_uid: key(oneOrMore(id()).optional(), {
        description: 'The uid that is theirs, or a list of them: where names come from a directory service.',
        mend: 'write what `id -u` says there, or a list of such numbers',
      }),
    },
    noGroup,
  )
  .refine((person) => person.os_username !== undefined || person.os_uid !== undefined, {
    path: ['os_username'],
    error: 'is missing, and os_uid is, too',
  })
export const groupSchema = z.strictObject(
  {
    gid: key(id(), {
      description: 'The number of a group, as `getent group NAME` says it.',
      mend: 'write the number of a group: getent group NAME',
    }),
    role,
  },
  noGroup,
)
const accountsSchema = z.strictObject(
  {
    role,
    min_uid: key(id().default(1000), {
      description: "Accounts below this uid are the system's own and nobody's.",
      mend: 'write a number, or take it away for 1000',
    }),
    max_uid: key(id().default(60_000), {
      description:
        "Accounts above this uid are nobody's: services and containers get theirs up there (login.defs(5), UID_MAX). A directory service may give greater ones to people. Default: 60000.",
      mend: 'write a number, or take it away for 60000',
    }),
  },
  noGroup,
)

const hostSchema = z
  .string(says('is not text'))
  .regex(
    /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/,
    'is no host name (letters, digits, dots, dashes and underscores)',
  )

/** In a file that everybody may read. */
const openDatabaseUrl = databaseUrlSchema.refine((url) => !hasPassword(url), {
  error: 'holds a password, which everybody who reads this file would know',
  abort: true,
})

/** What a line for people is: shown on terminals, so nothing that could control one. */
const notice = z
  .string(says('is not text'))
  .regex(/^(?=.*\S)[^\p{Cc}\p{Cs}]{1,1000}$/u, 'is no line of text (1 to 1000 characters)')

const amount = (least: number, most: number) =>
  z.int(says('is no whole number')).min(least, `is below ${least}`).max(most, `is above ${most}`)
const amountKey = (least: number, most: number, fallback: number, description: string) =>
  key(amount(least, most).optional(), {
    description: `${description} Default: ${fallback}.`,
    mend: `write a whole number from ${least} to ${most}, or take it away for ${fallback}`,
    applies: 'live',
  })
const unlessSetKey = (most: number, description: string) =>
  key(amount(1, most).optional(), {
    description: `${description} Default: no such limit.`,
    mend: `write a whole number from 1 to ${most}, or take it away for no such limit`,
    applies: 'live',
  })
const sessionsOf = (who: GrantedRole) =>
  amountKey(
    0,
    10_000,
    limits.sessions[who],
    `How many live sessions a person who is ${who} may have on this host; with 0, none can be started.`,
  )

export const sessionLimitKeys = {
  newcomer: sessionsOf('newcomer'),
  contributor: sessionsOf('contributor'),
  member: sessionsOf('member'),
  admin: sessionsOf('admin'),
} satisfies Record<GrantedRole, z.ZodType>
export const limitKeys = {
  connections: amountKey(
    4,
    2_000,
    limits.connections,
    'How many connections of one uid may be open at the same time. Uids that nobody has used the service with, as somebody, share twice that among them.',
  ),
  requests_per_second: amountKey(
    1,
    10_000,
    limits.requestsPerSecond,
    'How many requests of one uid are served in a second, after a pause twice as many at once; those beyond wait for up to a second. A new connection with its first request counts as one, and each 16 KiB of a body as one more. Uids that nobody has used the service with, as somebody, share twice that among them.',
  ),
  streams: amountKey(
    1,
    2_000,
    limits.streams,
    'How many WebSockets and transcripts of one uid may be open at the same time. Each session that runs has one, and each terminal that shows one.',
  ),
  sessions: z.strictObject(sessionLimitKeys, noGroup).nullish(),
}
const limitsSchema = z
  .strictObject(limitKeys, noGroup)
  .refine(({ streams = 0, connections = limits.connections }) => streams <= connections, {
    path: ['streams'],
    error: `is above limits.connections (${limits.connections} where it is not set), and each stream is a connection`,
  })

/** How long things last. */
export const sessionKeys = {
  max_idle_hours: unlessSetKey(
    8_760,
    'A session that has shown nothing for this many hours is ended: its program is asked to, as by `telec stop`.',
  ),
  max_age_hours: unlessSetKey(8_760, 'A session that was started this many hours ago is ended.'),
  command_expiry_minutes: amountKey(
    1,
    10_080,
    commandExpiryMinutes,
    'How long what is sent to a session waits for it where it is away, such as at a restart; then it expires.',
  ),
}
export const retentionKeys = {
  transcripts_days: key(amount(1, 36_500).optional(), {
    description:
      'Transcripts of sessions that ended this many days ago are removed; what is known of the sessions stays. Default: they are kept for ever.',
    mend: 'write a whole number from 1 to 36500, or take it away to keep them for ever',
    applies: 'live',
  }),
}

export const deploymentKeys = {
  host: key(hostSchema.optional(), {
    description:
      "The name of this machine in records, the same for ever: its sessions, locks and audit log are kept under it. Default: the machine's name at each start.",
    mend: 'set it to a name such as build-1, or take it away for the name of this machine',
    applies: 'restart',
    variable: 'TELECLAUDE_HOST',
    fromFile: 'text',
  }),
  log_level: key(z.enum(logLevels, says('is no log level')).optional(), {
    description: `How much the services log: one of ${logLevels.join(', ')}. Default: info.`,
    mend: `set it to one of ${logLevels.join(', ')}, or take it away for info`,
    applies: 'live',
    variable: 'TELECLAUDE_LOG_LEVEL',
  }),
  notice: key(notice.optional(), {
    description: 'Shown at the start of every session, before anything is recorded.',
    mend: 'write it in quotes, or take it away',
    applies: 'live',
  }),
  sessions: z.strictObject(sessionKeys, noGroup).nullish(),
  retention: z.strictObject(retentionKeys, noGroup).nullish(),
  database: z
    .strictObject(
      {
        url: key(z.union([openDatabaseUrl, secretReference]).optional(), {
          description:
            'PostgreSQL, as postgresql://USER@/DATABASE?host=/SOCKET/DIRECTORY or postgresql://USER@HOST/DATABASE?sslmode=verify-full. One with a password is a secret: { secret: NAME }. In single-user mode SQLite is used without it. Services that connect as different roles set DATABASE_URL each.',
          mend: 'set it to postgresql://USER@/DATABASE?host=/SOCKET/DIRECTORY or postgresql://USER@HOST/DATABASE?sslmode=verify-full; one with a password stands in a secret, and { secret: NAME } in the file',
          applies: 'restart',
          variable: 'DATABASE_URL',
          fromFile: 'secret',
        }),
      },
      noGroup,
    )
    .nullish(),
}

const systemKeys = {
  ...deploymentKeys,
  audit: auditSchema.nullish(),
  admin_uid: key(id().optional(), {
    description:
      'A uid whose person is an admin without being in `people`: the first admin, set by scripts/compose-up.',
    mend: 'set it to the number that `id -u` says, or take it away',
    applies: 'live',
    variable: 'TELECLAUDE_ADMIN_UID',
  }),
  people: key(list(personSchema), {
    description: 'People by name, with the OS users that are theirs. Two people never share one.',
    mend: 'write a list: each entry begins with "- name: NAME"',
    applies: 'live',
  }),
  groups: key(list(groupSchema), {
    description:
      'Everybody in one of these groups who is not in `people`, under the name of their account. The first that matches counts.',
    mend: 'write a list: each entry begins with "- gid: NUMBER"',
    applies: 'live',
  }),
  accounts: key(accountsSchema.nullish(), {
    description:
      'Everybody else with an account on this machine. Without it, who is not named above may look at health only.',
    mend: 'write role and min_uid below it, or take it away',
    applies: 'live',
  }),
  limits: limitsSchema.nullish(),
  legacy,
}

export const systemSchema = z.strictObject(systemKeys, noGroup)
export const systemKeyNames: readonly string[] = Object.keys(systemKeys)
