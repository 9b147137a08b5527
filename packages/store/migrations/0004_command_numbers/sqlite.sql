-- Commands are numbered within their session: one number for all sessions told each member how many commands others give.

-- Durable requests to sessions, delivered in the order of their numbers, each at most once.
CREATE TABLE commands_new (
  session_id TEXT NOT NULL REFERENCES sessions (id),
  number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 9007199254740991),  -- 1, 2, 3 ... within the session, without a gap
  kind TEXT NOT NULL CHECK (kind IN ('stop')),
  force INTEGER NOT NULL CHECK (force IN (0, 1)),
  requested_by TEXT NOT NULL,  -- person
  state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'delivered', 'done', 'failed', 'expired')),
  reason TEXT,  -- why it failed or expired
  created_at INTEGER NOT NULL CHECK (created_at BETWEEN 0 AND 9007199254740991),
  expires_at INTEGER NOT NULL CHECK (expires_at BETWEEN 0 AND 9007199254740991),
  delivered_at INTEGER CHECK (delivered_at BETWEEN 0 AND 9007199254740991),
  finished_at INTEGER CHECK (finished_at BETWEEN 0 AND 9007199254740991),
  PRIMARY KEY (session_id, number),
  CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'failed', 'expired'))),
  CHECK ((delivered_at IS NOT NULL) = (state IN ('delivered', 'done', 'failed')))
) STRICT, WITHOUT ROWID;

INSERT INTO commands_new (session_id, number, kind, force, requested_by, state, reason,
  created_at, expires_at, delivered_at, finished_at)
SELECT session_id, row_number() OVER (PARTITION BY session_id ORDER BY id), kind, force, requested_by, state, reason,
  created_at, expires_at, delivered_at, finished_at
FROM commands;

DROP TABLE commands;
ALTER TABLE commands_new RENAME TO commands;

CREATE INDEX commands_queued ON commands (session_id, number) WHERE state = 'queued';
CREATE INDEX commands_expiring ON commands (expires_at) WHERE state = 'queued';
