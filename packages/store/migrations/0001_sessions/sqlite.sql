-- Times are microseconds since 1970-01-01T00:00:00Z. Every integer stays within what JavaScript holds exactly (2^53 - 1).

-- One terminal command with its owner, project, agent and status.
CREATE TABLE sessions (
  ordinal INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of creation; lists are newest first by it, never by a clock
  id TEXT NOT NULL CHECK (length(id) = 36 AND id = lower(id)),  -- UUID in lower case
  host TEXT NOT NULL,  -- the machine whose kernel vouched for the owner
  owner_person TEXT NOT NULL,
  owner_uid INTEGER NOT NULL CHECK (owner_uid BETWEEN 0 AND 4294967294),
  owner_os_user TEXT NOT NULL,  -- account name that the uid had when the session was started
  project TEXT NOT NULL,  -- absolute path of the work tree or directory
  agent TEXT,  -- null for a program that is no known agent
  title TEXT NOT NULL,  -- untrusted text
  argv TEXT NOT NULL CHECK (json_valid(argv) AND json_type(argv) = 'array' AND json_array_length(argv) > 0),  -- content, not metadata
  terminal_cols INTEGER NOT NULL CHECK (terminal_cols BETWEEN 1 AND 10000),
  terminal_rows INTEGER NOT NULL CHECK (terminal_rows BETWEEN 1 AND 10000),
  status TEXT NOT NULL DEFAULT 'starting' CHECK (status IN ('starting', 'running', 'lost', 'ended')),
  exit_code INTEGER CHECK (exit_code BETWEEN 0 AND 255),  -- of a program that exited
  exit_signal TEXT,  -- name of the signal that ended the program
  created_at INTEGER NOT NULL CHECK (created_at BETWEEN 0 AND 9007199254740991),
  started_at INTEGER CHECK (started_at BETWEEN 0 AND 9007199254740991),
  ended_at INTEGER CHECK (ended_at BETWEEN 0 AND 9007199254740991),  -- when it ended or was found lost
  last_output_at INTEGER CHECK (last_output_at BETWEEN 0 AND 9007199254740991),
  last_chunk_seq INTEGER NOT NULL DEFAULT 0 CHECK (last_chunk_seq BETWEEN 0 AND 9007199254740991),  -- newest chunk, 0 for none
  transcript_bytes INTEGER NOT NULL DEFAULT 0 CHECK (transcript_bytes BETWEEN 0 AND 9007199254740991),
  CHECK (ordinal BETWEEN 1 AND 9007199254740991),
  CHECK ((exit_code IS NOT NULL) + (exit_signal IS NOT NULL) = (status = 'ended')),
  CHECK ((ended_at IS NOT NULL) = (status IN ('lost', 'ended')))
) STRICT;

CREATE UNIQUE INDEX sessions_by_id ON sessions (id);
-- Lists, one index for each way to ask. Their last key is the rowid, which is the ordinal: a page is one short range
-- per status, however deep it lies.
CREATE INDEX sessions_by_status ON sessions (status);
CREATE INDEX sessions_by_person ON sessions (owner_person, status);
CREATE INDEX sessions_by_project ON sessions (project, status);
CREATE INDEX sessions_by_person_project ON sessions (owner_person, project, status);
CREATE INDEX sessions_by_person_id ON sessions (owner_person, id);
CREATE INDEX sessions_live ON sessions (host) WHERE status IN ('starting', 'running');

-- What a session's terminal showed, in order, byte for byte.
CREATE TABLE transcript_chunks (
  session_id TEXT NOT NULL REFERENCES sessions (id),
  seq INTEGER NOT NULL CHECK (seq BETWEEN 1 AND 9007199254740991),  -- 1, 2, 3 ... without a gap
  kind TEXT NOT NULL CHECK (kind IN ('output', 'resize', 'exit')),
  offset_us INTEGER NOT NULL CHECK (offset_us BETWEEN 0 AND 9007199254740991),  -- since the program was started
  codec TEXT NOT NULL CHECK (codec IN ('raw', 'zstd')),  -- how bytes are stored
  raw_length INTEGER NOT NULL CHECK (raw_length BETWEEN 0 AND 65536),  -- bytes before compression
  bytes BLOB NOT NULL CHECK (length(bytes) <= raw_length),
  PRIMARY KEY (session_id, seq)
) STRICT;

-- Durable requests to sessions, delivered in the order of their ids, each at most once.
CREATE TABLE commands (
  id INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id BETWEEN 1 AND 9007199254740991),
  session_id TEXT NOT NULL REFERENCES sessions (id),
  kind TEXT NOT NULL CHECK (kind IN ('stop')),
  force INTEGER NOT NULL CHECK (force IN (0, 1)),
  requested_by TEXT NOT NULL,  -- person
  state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'delivered', 'done', 'failed', 'expired')),
  reason TEXT,  -- why it failed or expired
  created_at INTEGER NOT NULL CHECK (created_at BETWEEN 0 AND 9007199254740991),
  expires_at INTEGER NOT NULL CHECK (expires_at BETWEEN 0 AND 9007199254740991),
  delivered_at INTEGER CHECK (delivered_at BETWEEN 0 AND 9007199254740991),
  finished_at INTEGER CHECK (finished_at BETWEEN 0 AND 9007199254740991),
  CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'failed', 'expired'))),
  CHECK ((delivered_at IS NOT NULL) = (state IN ('delivered', 'done', 'failed')))
) STRICT;

CREATE INDEX commands_by_session ON commands (session_id);
CREATE INDEX commands_queued ON commands (session_id) WHERE state = 'queued';
CREATE INDEX commands_expiring ON commands (expires_at) WHERE state = 'queued';
