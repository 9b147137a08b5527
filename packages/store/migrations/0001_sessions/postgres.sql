-- Text that is compared or indexed is COLLATE "C": byte order, which no upgrade of the system's locales changes.
-- Times are kept within what JavaScript holds exactly as microseconds, and so is every integer.

CREATE TABLE sessions (
  id uuid NOT NULL,
  -- No index of its own: a list must never be tempted to walk all sessions in order and filter.
  ordinal bigint NOT NULL GENERATED ALWAYS AS IDENTITY CHECK (ordinal BETWEEN 1 AND 9007199254740991),
  host text COLLATE "C" NOT NULL,
  owner_person text COLLATE "C" NOT NULL,
  owner_uid bigint NOT NULL CHECK (owner_uid BETWEEN 0 AND 4294967294),
  owner_os_user text COLLATE "C" NOT NULL,
  project text COLLATE "C" NOT NULL,
  agent text COLLATE "C",
  title text COLLATE "C" NOT NULL,
  argv text[] NOT NULL CHECK (cardinality(argv) > 0 AND array_position(argv, NULL) IS NULL),
  terminal_cols integer NOT NULL CHECK (terminal_cols BETWEEN 1 AND 10000),
  terminal_rows integer NOT NULL CHECK (terminal_rows BETWEEN 1 AND 10000),
  status text COLLATE "C" NOT NULL DEFAULT 'starting' CHECK (status IN ('starting', 'running', 'lost', 'ended')),
  exit_code integer CHECK (exit_code BETWEEN 0 AND 255),
  exit_signal text COLLATE "C",
  created_at timestamptz NOT NULL CHECK (created_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  started_at timestamptz CHECK (started_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  ended_at timestamptz CHECK (ended_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  last_output_at timestamptz CHECK (last_output_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  last_chunk_seq bigint NOT NULL DEFAULT 0 CHECK (last_chunk_seq BETWEEN 0 AND 9007199254740991),
  transcript_bytes bigint NOT NULL DEFAULT 0 CHECK (transcript_bytes BETWEEN 0 AND 9007199254740991),
  PRIMARY KEY (id) INCLUDE (ordinal),  -- the newest of those with an id's beginning are found in the index alone
  CHECK (num_nonnulls(exit_code, exit_signal) = (status = 'ended')::integer),
  CHECK ((ended_at IS NOT NULL) = (status IN ('lost', 'ended')))
) WITH (fillfactor = 80);  -- room on the page for the counters that every append updates (heap-only tuples)

COMMENT ON TABLE sessions IS 'One terminal command with its owner, project, agent and status.';
COMMENT ON COLUMN sessions.ordinal IS 'Order of creation; lists are newest first by it, never by a clock.';
COMMENT ON COLUMN sessions.host IS 'The machine whose kernel vouched for the owner.';
COMMENT ON COLUMN sessions.owner_os_user IS 'Account name that the uid had when the session was started.';
COMMENT ON COLUMN sessions.project IS 'Absolute path of the work tree or directory.';
COMMENT ON COLUMN sessions.agent IS 'Null for a program that is no known agent.';
COMMENT ON COLUMN sessions.title IS 'Untrusted text.';
COMMENT ON COLUMN sessions.argv IS 'The program and its arguments: content, not metadata.';
COMMENT ON COLUMN sessions.exit_code IS 'Of a program that exited.';
COMMENT ON COLUMN sessions.exit_signal IS 'Name of the signal that ended the program.';
COMMENT ON COLUMN sessions.ended_at IS 'When it ended or was found lost.';
COMMENT ON COLUMN sessions.last_chunk_seq IS 'Sequence of the newest chunk, 0 for none.';
COMMENT ON COLUMN sessions.transcript_bytes IS 'Bytes of terminal output recorded so far.';

-- Lists, one index for each way to ask: a page is one short range per status, however deep it lies.
-- Projects enter by their beginning, since an index entry holds under 2,704 bytes.
CREATE INDEX sessions_by_status ON sessions (status, ordinal);
CREATE INDEX sessions_by_person ON sessions (owner_person, status, ordinal);
CREATE INDEX sessions_by_project ON sessions (left(project, 255), status, ordinal);
CREATE INDEX sessions_by_person_project ON sessions (owner_person, left(project, 255), status, ordinal);
CREATE INDEX sessions_by_person_id ON sessions (owner_person, id) INCLUDE (ordinal);
CREATE INDEX sessions_live ON sessions (host, ordinal) WHERE status IN ('starting', 'running');

CREATE TABLE transcript_chunks (
  session_id uuid NOT NULL REFERENCES sessions (id),
  seq bigint NOT NULL CHECK (seq BETWEEN 1 AND 9007199254740991),
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('output', 'resize', 'exit')),
  offset_us bigint NOT NULL CHECK (offset_us BETWEEN 0 AND 9007199254740991),
  codec text COLLATE "C" NOT NULL CHECK (codec IN ('raw', 'zstd')),
  raw_length integer NOT NULL CHECK (raw_length BETWEEN 0 AND 65536),
  bytes bytea NOT NULL CHECK (octet_length(bytes) <= raw_length),
  PRIMARY KEY (session_id, seq)
);

ALTER TABLE transcript_chunks ALTER COLUMN bytes SET STORAGE EXTERNAL;  -- what could shrink is compressed already

COMMENT ON TABLE transcript_chunks IS 'What a session''s terminal showed, in order, byte for byte.';
COMMENT ON COLUMN transcript_chunks.seq IS '1, 2, 3 ... without a gap.';
COMMENT ON COLUMN transcript_chunks.offset_us IS 'Microseconds since the program was started.';
COMMENT ON COLUMN transcript_chunks.codec IS 'How bytes are stored.';
COMMENT ON COLUMN transcript_chunks.raw_length IS 'Bytes before compression.';

CREATE TABLE commands (
  id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY CHECK (id BETWEEN 1 AND 9007199254740991),
  session_id uuid NOT NULL REFERENCES sessions (id),
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('stop')),
  force boolean NOT NULL,
  requested_by text COLLATE "C" NOT NULL,
  state text COLLATE "C" NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'delivered', 'done', 'failed', 'expired')),
  reason text COLLATE "C",
  created_at timestamptz NOT NULL CHECK (created_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  expires_at timestamptz NOT NULL CHECK (expires_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  delivered_at timestamptz CHECK (delivered_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  finished_at timestamptz CHECK (finished_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'failed', 'expired'))),
  CHECK ((delivered_at IS NOT NULL) = (state IN ('delivered', 'done', 'failed')))
);

COMMENT ON TABLE commands IS 'Durable requests to sessions, delivered in the order of their ids, each at most once.';
COMMENT ON COLUMN commands.requested_by IS 'Person.';
COMMENT ON COLUMN commands.reason IS 'Why it failed or expired.';

CREATE INDEX commands_by_session ON commands (session_id, id);
CREATE INDEX commands_queued ON commands (session_id, id) WHERE state = 'queued';
CREATE INDEX commands_expiring ON commands (expires_at) WHERE state = 'queued';
