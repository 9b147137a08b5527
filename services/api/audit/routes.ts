// The audit log over HTTP.

import { noParametersSchema } from '@teleclaude/core/api.ts'
import { acknowledgementSchema, auditListQuerySchema, auditProofQuerySchema } from '@teleclaude/core/audit-api.ts'
import { z } from 'zod'
import { type Route, serviceRoute } from '../http/route.ts'
import { exportAudit } from './export.ts'
import { acknowledgeAlarm, rotateKey } from './keeping.ts'
import { listAudit } from './list.ts'
import { readMetrics } from './metrics.ts'
import { proveEntries, readCheckpoint } from './prove.ts'
import { checkRecordings } from './recordings.ts'
import { readAuditState } from './state.ts'

const nothing = { query: noParametersSchema, body: z.undefined() }

export const auditRoutes: readonly Route[] = [
  serviceRoute({
    method: 'get',
    path: '/v1/audit',
    action: 'audit.read',
    query: auditListQuerySchema,
    body: z.undefined(),
    handle: listAudit,
  }),
  serviceRoute({
    method: 'get',
    path: '/v1/audit/checkpoint',
    action: 'audit.prove',
    ...nothing,
    handle: readCheckpoint,
  }),
  serviceRoute({
    method: 'get',
    path: '/v1/audit/proof',
    action: 'audit.prove',
    query: auditProofQuerySchema,
    body: z.undefined(),
    handle: proveEntries,
  }),
  serviceRoute({ method: 'get', path: '/v1/audit/export', action: 'audit.export', ...nothing, handle: exportAudit }),
  serviceRoute({ method: 'get', path: '/v1/audit/state', action: 'audit.export', ...nothing, handle: readAuditState }),
  serviceRoute({
    method: 'get',
    path: '/v1/audit/recordings',
    action: 'audit.export',
    ...nothing,
    handle: checkRecordings,
  }),
  serviceRoute({
    method: 'post',
    path: '/v1/audit/alarms/:alarm/acknowledge',
    action: 'audit.acknowledge',
    query: noParametersSchema,
    body: acknowledgementSchema,
    handle: acknowledgeAlarm,
  }),
  serviceRoute({
    method: 'post',
    path: '/v1/audit/rotate-key',
    action: 'audit.rotate',
    query: noParametersSchema,
    body: noParametersSchema,
    handle: rotateKey,
  }),
  serviceRoute({ method: 'get', path: '/metrics', action: 'metrics.read', ...nothing, handle: readMetrics }),
]
