-- Sessions in sessions, what their agents do, texts to type, transcripts that are kept for some time, and events that tell of it.

-- The session in which it was started.
ALTER TABLE sessions ADD COLUMN parent_id TEXT REFERENCES sessions (id);
-- What its agent does, who said so and when: null where nobody did.
ALTER TABLE sessions ADD COLUMN agent_state TEXT NOT NULL DEFAULT 'unknown'
  CHECK (agent_state IN ('working', 'waiting', 'idle', 'unknown'));
ALTER TABLE sessions ADD COLUMN agent_source TEXT
  CHECK (agent_source IN ('hook', 'terminal'))
  CHECK (agent_source IS NOT NULL OR agent_state = 'unknown')
  CHECK (agent_source IS NULL OR status IN ('starting', 'running'));
ALTER TABLE sessions ADD COLUMN agent_since INTEGER
  CHECK (agent_since BETWEEN 0 AND 9007199254740991)
  CHECK ((agent_since IS NOT NULL) = (agent_source IS NOT NULL));
-- When removing its transcript began: nothing is appended from then on. Whatever runs is recorded.
ALTER TABLE sessions ADD COLUMN transcript_removed_at INTEGER
  CHECK (transcript_removed_at BETWEEN 0 AND 9007199254740991)
  CHECK (transcript_removed_at IS NULL OR status IN ('lost', 'ended'));
-- No chunk is left of a transcript that was removed.
ALTER TABLE sessions ADD COLUMN transcript_gone INTEGER NOT NULL DEFAULT 0
  CHECK (transcript_gone IN (0, 1))
  CHECK (transcript_removed_at IS NOT NULL OR transcript_gone = 0);

CREATE INDEX sessions_removable ON sessions (host, ended_at) WHERE ended_at IS NOT NULL AND transcript_gone = 0;

-- What a session's terminal showed, in order, byte for byte.
CREATE TABLE transcript_chunks_new (
  session_id TEXT NOT NULL REFERENCES sessions (id),
  seq INTEGER NOT NULL CHECK (seq BETWEEN 1 AND 9007199254740991),  -- 1, 2, 3 ... without a gap
  kind TEXT NOT NULL CHECK (kind IN ('output', 'resize', 'exit', 'driver', 'gap')),
  offset_us INTEGER NOT NULL CHECK (offset_us BETWEEN 0 AND 9007199254740991),  -- since the program was started
  codec TEXT NOT NULL CHECK (codec IN ('raw', 'zstd')),  -- how bytes are stored
  raw_length INTEGER NOT NULL CHECK (raw_length BETWEEN 0 AND 65536),  -- bytes before compression
  bytes BLOB NOT NULL CHECK (length(bytes) <= raw_length),
  PRIMARY KEY (session_id, seq)
) STRICT;

INSERT INTO transcript_chunks_new (session_id, seq, kind, offset_us, codec, raw_length, bytes)
SELECT session_id, seq, kind, offset_us, codec, raw_length, bytes FROM transcript_chunks;

DROP TABLE transcript_chunks;
ALTER TABLE transcript_chunks_new RENAME TO transcript_chunks;

-- Durable requests to sessions, delivered in the order of their numbers, each at most once.
CREATE TABLE commands_new (
  session_id TEXT NOT NULL REFERENCES sessions (id),
  number INTEGER NOT NULL CHECK (number BETWEEN 1 AND 9007199254740991),  -- 1, 2, 3 ... within the session, without a gap
  kind TEXT NOT NULL CHECK (kind IN ('send', 'interrupt', 'stop')),
  force INTEGER NOT NULL CHECK (force IN (0, 1)),
  text TEXT CHECK (length(text) <= 65536),  -- what a send types: content, kept until it is finished
  enter INTEGER NOT NULL CHECK (enter IN (0, 1)),  -- whether the Enter key follows the text
  requested_by TEXT NOT NULL,  -- person
  state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'delivered', 'done', 'failed', 'expired')),
  reason TEXT,  -- why it failed or expired
  created_at INTEGER NOT NULL CHECK (created_at BETWEEN 0 AND 9007199254740991),
  expires_at INTEGER NOT NULL CHECK (expires_at BETWEEN 0 AND 9007199254740991),
  delivered_at INTEGER CHECK (delivered_at BETWEEN 0 AND 9007199254740991),
  finished_at INTEGER CHECK (finished_at BETWEEN 0 AND 9007199254740991),
  PRIMARY KEY (session_id, number),
  CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'failed', 'expired'))),
  -- One that is closed with its session fails, delivered or not.
  CHECK (state = 'failed' OR (delivered_at IS NOT NULL) = (state IN ('delivered', 'done'))),
  CHECK ((text IS NOT NULL) = (kind = 'send' AND state IN ('queued', 'delivered'))),
  CHECK ((kind = 'stop' OR force = 0) AND (kind = 'send' OR enter = 0))
) STRICT, WITHOUT ROWID;

INSERT INTO commands_new (session_id, number, kind, force, text, enter, requested_by, state, reason,
  created_at, expires_at, delivered_at, finished_at)
SELECT session_id, number, kind, force, NULL, 0, requested_by, state, reason,
  created_at, expires_at, delivered_at, finished_at
FROM commands;

DROP TABLE commands;
ALTER TABLE commands_new RENAME TO commands;

CREATE INDEX commands_queued ON commands (session_id, number) WHERE state = 'queued';
CREATE INDEX commands_expiring ON commands (expires_at) WHERE state = 'queued';

-- What happened to sessions, kept for those who come back to hear the rest.
CREATE TABLE session_events (
  ordinal INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of the commits
  id TEXT NOT NULL CHECK (length(id) = 36 AND id = lower(id)),  -- random: it tells nobody how many events others have
  session_id TEXT NOT NULL REFERENCES sessions (id),
  owner_person TEXT NOT NULL,  -- of the session
  kind TEXT NOT NULL CHECK (kind IN ('created', 'running', 'lost', 'ended', 'agent', 'renamed')),
  at INTEGER NOT NULL CHECK (at BETWEEN 0 AND 9007199254740991),
  CHECK (ordinal BETWEEN 1 AND 9007199254740991)
) STRICT;

CREATE UNIQUE INDEX session_events_by_id ON session_events (id);
CREATE INDEX session_events_by_person ON session_events (owner_person);
CREATE INDEX session_events_by_time ON session_events (at);
