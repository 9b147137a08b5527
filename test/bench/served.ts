// The service as a bench measures it: in system mode on PostgreSQL, as a process of its own uid on a core of its own. Needs root.

import { writeFileSync } from 'node:fs'
import { makeServicePlace, openDoorway, Service } from '../../services/api/test-service.ts'
import { startPostgres } from '../support/postgres-server.ts'
import { type Cores, pin } from './cores.ts'

export type Served = { readonly socket: string; readonly pid: number | undefined }

/** @param config the text of config.yml */
export async function serveMachine(
  scope: AsyncDisposableStack,
  cores: Cores | null,
  config: string,
): Promise<Served & { readonly databaseUrl: string }> {
  const postgres = scope.use(await startPostgres({ own: true }))
  openDoorway(postgres)
  const place = await makeServicePlace({ after: (end) => scope.defer(end) }, postgres, { migrated: true })
  writeFileSync(place.configFile, config)
  const service = new Service(place, { wait: false })
  scope.defer(() => service.stop())
  await service.says(/^ready$/)
  pin(service.child.pid, cores?.server)
  return { socket: place.socket, pid: service.child.pid, databaseUrl: place.url }
}
