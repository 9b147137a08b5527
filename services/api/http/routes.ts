// Everything the service answers to. A route without an action does not compile.

import {
  accessGrantListQuerySchema,
  newAccessGrantSchema,
  noticeListQuerySchema,
  noticesSeenSchema,
} from '@teleclaude/core/access-api.ts'
import {
  newCommandSchema,
  newSessionSchema,
  noParametersSchema,
  permissionQuerySchema,
  rebindSchema,
  searchQuerySchema,
  sessionEventsQuerySchema,
  sessionListQuerySchema,
  sessionPatchSchema,
  transcriptQuerySchema,
  whoamiQuerySchema,
} from '@teleclaude/core/api.ts'
import { attachQuerySchema, runnerQuerySchema } from '@teleclaude/core/link.ts'
import { runnerProtocol, viewerProtocol } from '@teleclaude/core/protocol.ts'
import { z } from 'zod'
import { listNotices, markNoticesSeen } from '../access/notices.ts'
import { endAccess, listAccess, openAccess } from '../access/routes.ts'
import { auditRoutes } from '../audit/routes.ts'
import { readSafeguards } from '../audit/safeguards.ts'
import { readConfig, reloadConfig } from '../configuration/routes.ts'
import { readEvents } from '../events/events.ts'
import { readHealth, readReadiness } from '../health.ts'
import { listAccounts, rebindAccount } from '../identity/people.ts'
import { readPermission } from '../identity/permission.ts'
import { readWhoami } from '../identity/whoami.ts'
import { enqueueCommand, listCommands } from '../sessions/commands.ts'
import { changeSession, createSession, listSessions, readSession } from '../sessions/sessions.ts'
import { attachViewer, connectRunner } from '../sessions/streams.ts'
import { readTranscript, searchTranscript } from '../sessions/transcripts.ts'
import {
  namedSessionRoute,
  personRoute,
  type Route,
  type StreamRoute,
  serviceRoute,
  sessionRoute,
  sessionStream,
} from './route.ts'

const nothing = { query: noParametersSchema, body: z.undefined() }

export const routes: readonly Route[] = [
  serviceRoute({ method: 'get', path: '/healthz', action: 'health.read', ...nothing, handle: readHealth }),
  serviceRoute({ method: 'get', path: '/readyz', action: 'health.read', ...nothing, handle: readReadiness }),
  serviceRoute({
    method: 'get',
    path: '/v1/whoami',
    action: 'whoami.read',
    query: whoamiQuerySchema,
    body: z.undefined(),
    handle: readWhoami,
  }),
  serviceRoute({ method: 'get', path: '/v1/people', action: 'people.read', ...nothing, handle: listAccounts }),
  serviceRoute({
    method: 'post',
    path: '/v1/people/rebind',
    action: 'people.rebind',
    query: noParametersSchema,
    body: rebindSchema,
    handle: rebindAccount,
  }),
  personRoute({
    method: 'get',
    path: '/v1/people/:person/permission',
    action: 'policy.explain',
    query: permissionQuerySchema,
    body: z.undefined(),
    handle: readPermission,
  }),
  serviceRoute({
    method: 'get',
    path: '/v1/safeguards',
    action: 'safeguards.read',
    ...nothing,
    handle: readSafeguards,
  }),
  serviceRoute({ method: 'get', path: '/v1/config', action: 'config.read', ...nothing, handle: readConfig }),
  serviceRoute({
    method: 'post',
    path: '/v1/config/reload',
    action: 'config.reload',
    query: noParametersSchema,
    body: noParametersSchema,
    handle: reloadConfig,
  }),
  serviceRoute({
    method: 'post',
    path: '/v1/sessions',
    action: 'session.create',
    query: noParametersSchema,
    body: newSessionSchema,
    handle: createSession,
  }),
  serviceRoute({
    method: 'get',
    path: '/v1/sessions',
    action: 'session.list',
    query: sessionListQuerySchema,
    body: z.undefined(),
    handle: listSessions,
  }),
  serviceRoute({
    method: 'get',
    path: '/v1/events',
    action: 'events.read',
    resumes: true,
    query: sessionEventsQuerySchema,
    body: z.undefined(),
    handle: readEvents,
  }),
  sessionRoute({ method: 'get', path: '/v1/sessions/:id', action: 'session.read', ...nothing, handle: readSession }),
  sessionRoute({
    method: 'patch',
    path: '/v1/sessions/:id',
    action: 'session.rename',
    query: noParametersSchema,
    body: sessionPatchSchema,
    narrow: (body) => ('title' in body ? 'session.rename' : 'session.report'),
    handle: changeSession,
  }),
  sessionRoute({
    method: 'post',
    path: '/v1/sessions/:id/commands',
    action: 'session.stop',
    query: noParametersSchema,
    body: newCommandSchema,
    narrow: ({ kind }) => (kind === 'stop' ? 'session.stop' : 'session.send'),
    handle: enqueueCommand,
  }),
  sessionRoute({
    method: 'get',
    path: '/v1/sessions/:id/commands',
    action: 'session.read',
    ...nothing,
    handle: listCommands,
  }),
  sessionRoute({
    method: 'get',
    path: '/v1/sessions/:id/transcript',
    action: 'transcript.read',
    query: transcriptQuerySchema,
    body: z.undefined(),
    handle: readTranscript,
  }),
  sessionRoute({
    method: 'get',
    path: '/v1/sessions/:id/search',
    action: 'transcript.read',
    query: searchQuerySchema,
    body: z.undefined(),
    handle: searchTranscript,
  }),
  namedSessionRoute({
    method: 'post',
    path: '/v1/access-grants',
    action: 'access.open',
    query: noParametersSchema,
    body: newAccessGrantSchema,
    handle: openAccess,
  }),
  serviceRoute({
    method: 'get',
    path: '/v1/access-grants',
    action: 'access.list',
    query: accessGrantListQuerySchema,
    body: z.undefined(),
    handle: listAccess,
  }),
  serviceRoute({
    method: 'delete',
    path: '/v1/access-grants/:grant',
    action: 'access.end',
    ...nothing,
    handle: endAccess,
  }),
  serviceRoute({
    method: 'get',
    path: '/v1/notices',
    action: 'notices.read',
    query: noticeListQuerySchema,
    body: z.undefined(),
    handle: listNotices,
  }),
  serviceRoute({
    method: 'post',
    path: '/v1/notices/seen',
    action: 'notices.read',
    query: noParametersSchema,
    body: noticesSeenSchema,
    handle: markNoticesSeen,
  }),
  ...auditRoutes,
]

export const streams: readonly StreamRoute[] = [
  sessionStream({
    path: '/v1/sessions/:id/runner',
    protocol: runnerProtocol,
    query: runnerQuerySchema,
    action: () => 'runner.connect',
    admit: connectRunner,
  }),
  sessionStream({
    path: '/v1/sessions/:id/attach',
    protocol: viewerProtocol,
    query: attachQuerySchema,
    action: ({ drive }) => (drive === 'false' ? 'session.attach' : 'session.drive'),
    admit: attachViewer,
  }),
]
