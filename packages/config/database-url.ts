// The URL of PostgreSQL, as libpq reads it: what it may be, and how it is shown.

import { accessSync, constants } from 'node:fs'
import { z } from 'zod'

export const databaseUrlSchema = z
  .string({ error: ({ input }) => (input === undefined ? 'is not set' : 'is not text') })
  .refine((url) => /^postgres(ql)?:\/\//i.test(url), { error: 'does not start with postgresql://', abort: true })
  .refine((url) => parseDatabaseUrl(url) !== null, {
    error: 'is no URL that can be read (special characters in a password are written as %XX)',
    abort: true,
  })

/** libpq takes every connection parameter in the query, too. */
const passwordParameter = /pass/i

export function hasPassword(databaseUrl: string): boolean {
  const url = parseDatabaseUrl(databaseUrl)
  return (
    url === null || url.password !== '' || [...url.searchParams.keys()].some((name) => passwordParameter.test(name))
  )
}

/** A database's URL for people to read. */
export function withoutPassword(databaseUrl: string): string {
  const url = parseDatabaseUrl(databaseUrl)
  if (url === null) return 'postgresql://...'
  if (url.password !== '') url.password = '***'
  for (const name of url.searchParams.keys()) if (passwordParameter.test(name)) url.searchParams.set(name, '***')
  return url.href.replace(`@${hostStandIn}`, '@')
}

const hostStandIn = 'host-is-in-the-query'

/** `postgresql://user@/db?host=/run/postgresql` has a user and no host, which libpq takes and the URL standard does not. */
function parseDatabaseUrl(text: string): URL | null {
  // A password with a raw slash in it would be read as a host, a port and a path, and be shown as such.
  const [, authority = '', rest = ''] = /^\w+:\/\/([^/?#]*)(.*)$/s.exec(text) ?? []
  if (rest.includes('@')) return null
  return URL.parse(text) ?? (authority.endsWith('@') ? URL.parse(text.replace('@', `@${hostStandIn}`)) : null)
}

/** Whoever stands between us and the database, or listens in its place while it is stopped, also on this machine, must
 *  neither read nor be told the password: a Unix socket's directory keeps them out, else a certificate does. pg's reading of
 *  `sslmode` (pg-connection-string 2.14): `no-verify` and `uselibpqcompat` with `require` or `prefer` verify nothing, none at all is
 *  plain text; `verify-full` verifies certificate and name; `require`, `prefer` and `verify-ca` do so, too, until its next major
 *  version, and are therefore not relied on. */
export function transportProblems(databaseUrl: string): readonly string[] {
  const url = parseDatabaseUrl(databaseUrl)
  if (url === null) return []
  const hosts = url.searchParams.getAll('host').filter((host) => host !== '')
  if (hosts.length === 0 && !databaseUrl.includes('@/') && url.hostname !== '') hosts.push(url.hostname)
  if (hosts.length === 0) return ['names no server']
  if (hosts.every((host) => /^(\/|%2f)/i.test(host))) return []
  const modes = url.searchParams.getAll('sslmode')
  if (modes.length === 0 || modes.some((mode) => mode !== 'verify-full'))
    return ['goes over TCP without sslmode=verify-full, the one mode that is sure to verify who answers']
  return ['sslrootcert', 'sslcert', 'sslkey'].flatMap((name) =>
    url.searchParams.getAll(name).flatMap((file) => {
      try {
        accessSync(file, constants.R_OK)
        return []
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : error
        return [`names a file as ${name} that uid ${process.geteuid?.()} can't read (${file}: ${code})`]
      }
    }),
  )
}
