// What the service's HTTP is held against: express with one route that answers with as much JSON, and nothing else.
// `express-server.ts SOCKET JSON`.

import { once } from 'node:events'
import { chmodSync } from 'node:fs'
import express from 'express'
import { answerQuestions } from './questions.ts'

const [socketPath = '', json = ''] = process.argv.slice(2)
const value: unknown = JSON.parse(json)

const app = express()
// As the service: neither is worth its time here.
app.disable('x-powered-by')
app.disable('etag')
app.get('/v1/whoami', (_request, response) => {
  response.json(value)
})
const server = app.listen(socketPath)
await once(server, 'listening')
chmodSync(socketPath, 0o666)

answerQuestions(async () => null)
