// The appliance's services as compose/compose.yaml describes them, for the engine's own API: so that what the tests start
// container by container is what Compose starts.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'

const root = join(import.meta.dirname, '../..')

const serviceSchema = z.strictObject({
  image: z.string(),
  build: z.unknown().optional(),
  user: z.string().optional(),
  network_mode: z.literal('none'),
  read_only: z.literal(true),
  cap_drop: z.tuple([z.literal('ALL')]),
  cap_add: z.array(z.string()).default([]),
  security_opt: z.array(z.string()),
  restart: z.enum(['unless-stopped', 'no']),
  logging: z.strictObject({ driver: z.string(), options: z.record(z.string(), z.string()) }),
  environment: z
    .record(
      z.string(),
      z
        .string()
        .nullable()
        .transform((value) => value ?? ''),
    )
    .default({}),
  volumes: z.array(z.string()),
  tmpfs: z.array(z.string()).default([]),
  shm_size: z.string().optional(),
  stop_signal: z.string().optional(),
  stop_grace_period: z.string().optional(),
  depends_on: z.unknown().optional(),
  healthcheck: z
    .strictObject({
      test: z.tuple([z.literal('CMD')], z.string()),
      interval: z.string(),
      timeout: z.string().default('30s'),
      start_period: z.string().default('0s'),
    })
    .optional(),
  mem_limit: z.string(),
  pids_limit: z.int(),
})
export type ComposeService = z.infer<typeof serviceSchema>

export const serviceNames = ['run-directory', 'postgres', 'migrator', 'api', 'auditor'] as const
export type ServiceName = (typeof serviceNames)[number]

const fileSchema = z.object({
  services: z.strictObject(Object.fromEntries(serviceNames.map((name) => [name, serviceSchema]))),
})

/** With `${NAME:-default}` filled in. @throws ZodError for a setting that the tests would not pass on to the engine */
export function readComposeFile(env: Readonly<Record<string, string>>): Readonly<Record<ServiceName, ComposeService>> {
  const text = readFileSync(join(root, 'compose/compose.yaml'), 'utf8')
  const filled = text.replaceAll(
    /\$\{(\w+):-([^}]*)\}/g,
    (_all, name: string, otherwise: string) => env[name] ?? otherwise,
  )
  const { services } = fileSchema.parse(parse(filled, { merge: true }))
  return services as Readonly<Record<ServiceName, ComposeService>>
}

/** `512m`, `1g`: bytes. */
export function parseBytes(text: string): number {
  const [, number, unit = ''] = /^(\d+)([kmg]?)$/.exec(text) ?? []
  if (number === undefined) throw new RangeError(`cannot read ${text} as a size`)
  return Number(number) * 1024 ** ['', 'k', 'm', 'g'].indexOf(unit)
}

/** `10s`, `1m`: seconds. */
export function parseSeconds(text: string): number {
  const [, number, unit] = /^(\d+)([sm])$/.exec(text) ?? []
  if (number === undefined) throw new RangeError(`cannot read ${text} as a duration`)
  return Number(number) * (unit === 'm' ? 60 : 1)
}
