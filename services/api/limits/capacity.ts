// How many connections the process has room for.

import { z } from 'zod'

/** An idle one takes about 15 KiB of memory. */
const mostConnections = 10_000
/** Descriptors for everything else: the database, renderers, the log. */
const reservedDescriptors = 256
const fewestConnections = 64

const reportSchema = z.object({
  userLimits: z.object({ open_files: z.object({ soft: z.union([z.number(), z.string()]) }) }),
})

export function connectionCapacity(): number {
  return Math.min(mostConnections, Math.max(fewestConnections, descriptorLimit() - reservedDescriptors))
}

/** RLIMIT_NOFILE (getrlimit(2)), which Node raises as far as it may. Infinity where there is none. */
function descriptorLimit(): number {
  const { report } = process
  // The environment is nobody's business, and the network's names take long to look up.
  Object.assign(report, { excludeEnv: true, excludeNetwork: true })
  const { soft } = reportSchema.parse(report.getReport()).userLimits.open_files
  return typeof soft === 'number' ? soft : Number.POSITIVE_INFINITY
}
