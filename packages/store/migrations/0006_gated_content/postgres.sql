-- The audit log becomes a Merkle tree that is signed and cosigned; what opens somebody's content to others, and who is told.

ALTER TABLE audit_heads
  ADD COLUMN epoch integer NOT NULL DEFAULT 0 CHECK (epoch >= 0),
  -- Null until the next append, which makes it of all that is there.
  ADD COLUMN tree bytea CHECK (octet_length(tree) % 32 = 0);

COMMENT ON COLUMN audit_heads.epoch IS 'Which key signs the log: 0 until it has one.';
COMMENT ON COLUMN audit_heads.tree IS 'Roots of the perfect subtrees that the tree of all entries is made of, largest first (RFC 6962).';

ALTER TABLE audit_entries
  ADD COLUMN action text COLLATE "C",
  ADD COLUMN actor text COLLATE "C",
  ADD COLUMN owner text COLLATE "C",
  ADD COLUMN session_id text COLLATE "C";

-- What an old entry says; nothing where it is none, which is for the auditor to find and no reason to keep the old schema.
CREATE FUNCTION pg_temp.read_entry(entry bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  -- PostgreSQL's jsonb holds no NUL, and nothing of what is taken out here may have one.
  RETURN replace(convert_from(entry, 'UTF8'), '\u0000', '\u0001')::jsonb;
EXCEPTION WHEN data_exception THEN
  RETURN '{}';
END
$$;

ALTER TABLE audit_entries DISABLE TRIGGER audit_entries_stay;
UPDATE audit_entries SET
  action = coalesce(said ->> 'action', ''), actor = said #>> '{actor,person}', owner = said #>> '{session,owner}',
  session_id = said #>> '{session,id}'
FROM (SELECT host AS log, seq AS number, pg_temp.read_entry(entry) AS said FROM audit_entries) AS parsed
WHERE host = log AND seq = number;
ALTER TABLE audit_entries ENABLE ALWAYS TRIGGER audit_entries_stay;
ALTER TABLE audit_entries ALTER COLUMN action SET NOT NULL;

DROP FUNCTION pg_temp.read_entry(bytea);

COMMENT ON COLUMN audit_entries.action IS 'As the entry says, to find it by; like the three after it.';
COMMENT ON COLUMN audit_entries.actor IS 'Who did it, where that is a person.';
COMMENT ON COLUMN audit_entries.owner IS 'Whose session it is about.';
COMMENT ON COLUMN audit_entries.session_id IS 'Which that is.';

CREATE INDEX audit_entries_by_actor ON audit_entries (host, actor, seq) WHERE actor IS NOT NULL;
CREATE INDEX audit_entries_by_owner ON audit_entries (host, owner, seq) WHERE owner IS NOT NULL;
CREATE INDEX audit_entries_by_session ON audit_entries (host, session_id, seq) WHERE session_id IS NOT NULL;
CREATE INDEX audit_entries_by_action ON audit_entries (host, action, seq);

CREATE TABLE audit_subtrees (
  host text COLLATE "C" NOT NULL,
  level smallint NOT NULL CHECK (level BETWEEN 1 AND 53),
  position bigint NOT NULL CHECK (position BETWEEN 0 AND 9007199254740991),
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  PRIMARY KEY (host, level, position)
);

COMMENT ON TABLE audit_subtrees IS 'Roots of complete subtrees, so that a proof need not read the whole log.';
COMMENT ON COLUMN audit_subtrees.level IS 'It has two to the power of this many entries: each eighth level is here.';
COMMENT ON COLUMN audit_subtrees.position IS 'Which of that size it is, from 0.';

CREATE TABLE audit_texts (
  host text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  salt bytea NOT NULL CHECK (octet_length(salt) = 32),
  text text COLLATE "C" NOT NULL,
  PRIMARY KEY (host, seq, name),
  FOREIGN KEY (host, seq) REFERENCES audit_entries (host, seq)
);

COMMENT ON TABLE audit_texts IS 'What entries hold salted commitments to. Where a row is gone, nobody can tell any more what it was.';

CREATE TABLE audit_checkpoints (
  host text COLLATE "C" NOT NULL,
  size bigint NOT NULL CHECK (size BETWEEN 1 AND 9007199254740991),
  note text COLLATE "C" NOT NULL CHECK (char_length(note) <= 65536),
  made_at timestamptz NOT NULL CHECK (made_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  PRIMARY KEY (host, size)
);

COMMENT ON TABLE audit_checkpoints IS 'Signed statements of a log''s size and root (C2SP tlog-checkpoint).';

CREATE TABLE audit_cosignatures (
  host text COLLATE "C" NOT NULL,
  size bigint NOT NULL CHECK (size BETWEEN 1 AND 9007199254740991),
  signer text COLLATE "C" NOT NULL,
  line text COLLATE "C" NOT NULL CHECK (char_length(line) <= 4096),
  made_at timestamptz NOT NULL CHECK (made_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  PRIMARY KEY (host, size, signer)
);

COMMENT ON TABLE audit_cosignatures IS 'What auditors say of checkpoints (C2SP tlog-cosignature).';

-- Says of which table it speaks: audit entries, audit subtrees, audit checkpoints, audit texts.
CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'cannot % %: the audit log is only ever added to', lower(TG_OP), replace(TG_TABLE_NAME, '_', ' ')
    USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_subtrees_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_subtrees
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
ALTER TABLE audit_subtrees ENABLE ALWAYS TRIGGER audit_subtrees_stay;
CREATE TRIGGER audit_checkpoints_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_checkpoints
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
ALTER TABLE audit_checkpoints ENABLE ALWAYS TRIGGER audit_checkpoints_stay;
-- A text may be erased, by the tables' owner, and never be another.
CREATE TRIGGER audit_texts_stay BEFORE UPDATE ON audit_texts
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
ALTER TABLE audit_texts ENABLE ALWAYS TRIGGER audit_texts_stay;

CREATE TABLE auditor_words (
  host text COLLATE "C" PRIMARY KEY,
  vkey text COLLATE "C" NOT NULL,
  started_at timestamptz NOT NULL CHECK (started_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  said_at timestamptz NOT NULL CHECK (said_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  state text COLLATE "C" NOT NULL CHECK (state IN ('shipping', 'waiting', 'alarm', 'stopped')),
  message text COLLATE "C",
  verified_seq bigint NOT NULL CHECK (verified_seq BETWEEN 0 AND 9007199254740991)
) WITH (fillfactor = 50);

COMMENT ON TABLE auditor_words IS 'How each host''s auditor says that it is.';

CREATE TABLE auditor_parked (
  host text COLLATE "C" NOT NULL,
  sink text COLLATE "C" NOT NULL,
  seq bigint NOT NULL CHECK (seq BETWEEN 1 AND 9007199254740991),
  reason text COLLATE "C" NOT NULL,
  attempts integer NOT NULL CHECK (attempts >= 1),
  parked_at timestamptz NOT NULL CHECK (parked_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  tried_at timestamptz NOT NULL CHECK (tried_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  PRIMARY KEY (host, sink, seq)
);

COMMENT ON TABLE auditor_parked IS 'Entries that a sink would not take, kept until it does.';

CREATE TABLE audit_alarms (
  id uuid PRIMARY KEY,
  host text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('rollback', 'fork', 'gap', 'broken-entry', 'bad-signature', 'sink')),
  at timestamptz NOT NULL CHECK (at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  from_seq bigint CHECK (from_seq BETWEEN 1 AND 9007199254740991),
  to_seq bigint CHECK (to_seq BETWEEN 1 AND 9007199254740991),
  message text COLLATE "C" NOT NULL,
  acknowledged_by text COLLATE "C",
  acknowledged_at timestamptz CHECK (acknowledged_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  CHECK ((from_seq IS NULL) = (to_seq IS NULL)),
  CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL))
);

COMMENT ON TABLE audit_alarms IS 'What auditors found wrong with logs.';

CREATE UNIQUE INDEX audit_alarms_open ON audit_alarms (host, kind, coalesce(from_seq, 0), coalesce(to_seq, 0))
  WHERE acknowledged_at IS NULL;
CREATE INDEX audit_alarms_by_time ON audit_alarms (host, at, id);

CREATE TABLE access_grants (
  id uuid PRIMARY KEY,
  ordinal bigint NOT NULL GENERATED ALWAYS AS IDENTITY CHECK (ordinal BETWEEN 1 AND 9007199254740991),
  host text COLLATE "C" NOT NULL,
  session_id uuid NOT NULL REFERENCES sessions (id),
  owner text COLLATE "C" NOT NULL,
  grantee text COLLATE "C" NOT NULL,
  grantee_uid bigint NOT NULL CHECK (grantee_uid BETWEEN 0 AND 4294967295),
  reason text COLLATE "C" NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 500),
  drive boolean NOT NULL,
  opened_at timestamptz NOT NULL CHECK (opened_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  expires_at timestamptz NOT NULL CHECK (expires_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  ended_at timestamptz CHECK (ended_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  ended_by text COLLATE "C",
  ended_why text COLLATE "C" CHECK (ended_why IN ('ended', 'expired', 'demoted')),
  CHECK ((ended_at IS NULL) = (ended_why IS NULL)),
  CHECK (ended_by IS NULL OR ended_at IS NOT NULL)
);

COMMENT ON TABLE access_grants IS 'What opens somebody''s session to an admin, for how long and why.';
COMMENT ON COLUMN access_grants.host IS 'The machine in whose log it is.';
COMMENT ON COLUMN access_grants.owner IS 'Whose session it is.';

CREATE INDEX access_grants_in_order ON access_grants (ordinal);
CREATE INDEX access_grants_by_owner ON access_grants (owner, ordinal);
CREATE INDEX access_grants_by_grantee ON access_grants (grantee, ordinal);
CREATE INDEX access_grants_by_session ON access_grants (session_id, ordinal);
CREATE INDEX access_grants_open ON access_grants (host, expires_at) WHERE ended_at IS NULL;

CREATE TABLE access_views (
  id uuid PRIMARY KEY,
  grant_id uuid NOT NULL REFERENCES access_grants (id),
  host text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('transcript', 'follow', 'attach', 'drive')),
  opened_at timestamptz NOT NULL CHECK (opened_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  ended_at timestamptz CHECK (ended_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  first_seq bigint CHECK (first_seq BETWEEN 1 AND 9007199254740991),
  last_seq bigint CHECK (last_seq BETWEEN 1 AND 9007199254740991),
  bytes bigint NOT NULL DEFAULT 0 CHECK (bytes BETWEEN 0 AND 9007199254740991),
  is_complete boolean NOT NULL DEFAULT false,
  CHECK ((first_seq IS NULL) = (last_seq IS NULL)),
  CHECK (ended_at IS NOT NULL OR (first_seq IS NULL AND bytes = 0 AND NOT is_complete))
);

COMMENT ON TABLE access_views IS 'What was delivered under a grant.';

CREATE INDEX access_views_by_grant ON access_views (grant_id, opened_at);
CREATE INDEX access_views_open ON access_views (host) WHERE ended_at IS NULL;

CREATE TABLE notices (
  id uuid PRIMARY KEY,
  ordinal bigint NOT NULL GENERATED ALWAYS AS IDENTITY CHECK (ordinal BETWEEN 1 AND 9007199254740991),
  person text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL
    CHECK (kind IN ('access.opened', 'session.stopped', 'session.renamed', 'session.commanded')),
  at timestamptz NOT NULL CHECK (at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  session_id uuid NOT NULL REFERENCES sessions (id),
  done_by text COLLATE "C" NOT NULL,
  grant_id uuid REFERENCES access_grants (id),
  seen_at timestamptz CHECK (seen_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  CHECK ((grant_id IS NOT NULL) = (kind = 'access.opened'))
);

COMMENT ON TABLE notices IS 'What persons are told of what others did with their sessions.';

CREATE INDEX notices_by_person ON notices (person, ordinal);
CREATE INDEX notices_unseen ON notices (person, ordinal) WHERE seen_at IS NULL;

-- Transcripts up to here are bound to the log by an entry.
ALTER TABLE sessions ADD COLUMN sealed_seq bigint NOT NULL DEFAULT 0 CHECK (sealed_seq BETWEEN 0 AND 9007199254740991);

COMMENT ON COLUMN sessions.sealed_seq IS 'Up to which chunk an audit entry holds the hash of its transcript.';
