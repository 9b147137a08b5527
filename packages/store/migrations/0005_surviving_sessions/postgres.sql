-- Sessions in sessions, what their agents do, texts to type, transcripts that are kept for some time, and events that tell of it.

ALTER TABLE sessions
  ADD COLUMN parent_id uuid REFERENCES sessions (id),
  ADD COLUMN agent_state text COLLATE "C" NOT NULL DEFAULT 'unknown'
    CHECK (agent_state IN ('working', 'waiting', 'idle', 'unknown')),
  ADD COLUMN agent_source text COLLATE "C" CHECK (agent_source IN ('hook', 'terminal')),
  ADD COLUMN agent_since timestamptz
    CHECK (agent_since BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  ADD COLUMN transcript_removed_at timestamptz
    CHECK (transcript_removed_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  ADD COLUMN transcript_gone boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT sessions_agent_check CHECK (
    (agent_since IS NOT NULL) = (agent_source IS NOT NULL) AND (agent_source IS NOT NULL OR agent_state = 'unknown')
    AND (agent_source IS NULL OR status IN ('starting', 'running'))
  ),
  -- Whatever runs is recorded.
  ADD CONSTRAINT sessions_removed_check CHECK (transcript_removed_at IS NULL OR status IN ('lost', 'ended')),
  ADD CONSTRAINT sessions_gone_check CHECK (transcript_removed_at IS NOT NULL OR NOT transcript_gone);

COMMENT ON COLUMN sessions.parent_id IS 'The session in which it was started.';
COMMENT ON COLUMN sessions.agent_state IS 'What its agent does.';
COMMENT ON COLUMN sessions.agent_source IS 'Who said so; null where nobody did.';
COMMENT ON COLUMN sessions.agent_since IS 'When it was said.';
COMMENT ON COLUMN sessions.transcript_removed_at IS 'When removing its transcript began: nothing is appended from then on.';
COMMENT ON COLUMN sessions.transcript_gone IS 'No chunk is left of a transcript that was removed.';

CREATE INDEX sessions_removable ON sessions (host, ended_at, ordinal) WHERE ended_at IS NOT NULL AND NOT transcript_gone;

ALTER TABLE transcript_chunks DROP CONSTRAINT transcript_chunks_kind_check;
-- Not valid: the chunks that are there kept a narrower rule, and looking at all of them takes long.
ALTER TABLE transcript_chunks ADD CONSTRAINT transcript_chunks_kind_check
  CHECK (kind IN ('output', 'resize', 'exit', 'driver', 'gap')) NOT VALID;

ALTER TABLE commands
  DROP CONSTRAINT commands_kind_check,
  DROP CONSTRAINT commands_check1,
  ADD COLUMN text text COLLATE "C" CHECK (char_length(text) <= 65536),
  ADD COLUMN enter boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT commands_kind_check CHECK (kind IN ('send', 'interrupt', 'stop')),
  -- One that is closed with its session fails, delivered or not.
  ADD CONSTRAINT commands_delivered_check
    CHECK (state = 'failed' OR (delivered_at IS NOT NULL) = (state IN ('delivered', 'done'))),
  ADD CONSTRAINT commands_text_kept_check CHECK ((text IS NOT NULL) = (kind = 'send' AND state IN ('queued', 'delivered'))),
  ADD CONSTRAINT commands_request_check CHECK ((kind = 'stop' OR NOT force) AND (kind = 'send' OR NOT enter));

COMMENT ON COLUMN commands.text IS 'What a send types: content, kept until it is finished.';
COMMENT ON COLUMN commands.enter IS 'Whether the Enter key follows the text.';

CREATE TABLE session_events (
  id uuid PRIMARY KEY,
  -- No index of its own: nobody's page must be tempted to walk everybody's events in order and filter.
  ordinal bigint NOT NULL GENERATED ALWAYS AS IDENTITY CHECK (ordinal BETWEEN 1 AND 9007199254740991),
  session_id uuid NOT NULL REFERENCES sessions (id),
  owner_person text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('created', 'running', 'lost', 'ended', 'agent', 'renamed')),
  at timestamptz NOT NULL CHECK (at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z')
);

COMMENT ON TABLE session_events IS 'What happened to sessions, kept for those who come back to hear the rest.';
COMMENT ON COLUMN session_events.ordinal IS 'Order of the commits: whoever inserts holds a lock from before this is given until the commit.';
COMMENT ON COLUMN session_events.id IS 'Random: it tells nobody how many events others have.';
COMMENT ON COLUMN session_events.owner_person IS 'Of the session.';

CREATE INDEX session_events_by_person ON session_events (owner_person, ordinal);
CREATE INDEX session_events_by_kind ON session_events (kind, ordinal);
CREATE INDEX session_events_by_time ON session_events (at, ordinal);
