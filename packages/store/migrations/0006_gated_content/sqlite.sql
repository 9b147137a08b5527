-- The audit log becomes a Merkle tree that is signed and cosigned; what opens somebody's content to others, and who is told.

-- Which key signs the log: 0 until it has one.
ALTER TABLE audit_heads ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0 CHECK (epoch BETWEEN 0 AND 2147483647);
-- Roots of the perfect subtrees that the tree of all entries is made of, largest first (RFC 6962). Null until the next append, which
-- makes it of all that is there.
ALTER TABLE audit_heads ADD COLUMN tree BLOB CHECK (length(tree) % 32 = 0);

-- As the entry says, to find it by; like the three after it.
ALTER TABLE audit_entries ADD COLUMN action TEXT NOT NULL DEFAULT '';
ALTER TABLE audit_entries ADD COLUMN actor TEXT;  -- who did it, where that is a person
ALTER TABLE audit_entries ADD COLUMN owner TEXT;  -- whose session it is about
ALTER TABLE audit_entries ADD COLUMN session_id TEXT;  -- which that is

DROP TRIGGER audit_entries_stay_unchanged;
-- What is no entry says nothing, which is for the auditor to find and no reason to keep the old schema.
UPDATE audit_entries SET
  action = coalesce(json_extract(CAST(entry AS TEXT), '$.action'), ''),
  actor = json_extract(CAST(entry AS TEXT), '$.actor.person'),
  owner = json_extract(CAST(entry AS TEXT), '$.session.owner'),
  session_id = json_extract(CAST(entry AS TEXT), '$.session.id')
WHERE json_valid(CAST(entry AS TEXT));
CREATE TRIGGER audit_entries_stay_unchanged BEFORE UPDATE ON audit_entries BEGIN
  SELECT RAISE(ABORT, 'cannot update audit entries: the audit log is only ever added to');
END;

CREATE INDEX audit_entries_by_actor ON audit_entries (host, actor, seq) WHERE actor IS NOT NULL;
CREATE INDEX audit_entries_by_owner ON audit_entries (host, owner, seq) WHERE owner IS NOT NULL;
CREATE INDEX audit_entries_by_session ON audit_entries (host, session_id, seq) WHERE session_id IS NOT NULL;
CREATE INDEX audit_entries_by_action ON audit_entries (host, action, seq);

-- Roots of complete subtrees, so that a proof need not read the whole log.
CREATE TABLE audit_subtrees (
  host TEXT NOT NULL,
  level INTEGER NOT NULL CHECK (level BETWEEN 1 AND 53),  -- it has two to the power of this many entries: each eighth level is here
  position INTEGER NOT NULL CHECK (position BETWEEN 0 AND 9007199254740991),  -- which of that size it is, from 0
  hash BLOB NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (host, level, position)
) STRICT, WITHOUT ROWID;

-- What entries hold salted commitments to. Where a row is gone, nobody can tell any more what it was.
CREATE TABLE audit_texts (
  host TEXT NOT NULL,
  seq INTEGER NOT NULL,
  name TEXT NOT NULL,
  salt BLOB NOT NULL CHECK (length(salt) = 32),
  text TEXT NOT NULL,
  PRIMARY KEY (host, seq, name),
  FOREIGN KEY (host, seq) REFERENCES audit_entries (host, seq)
) STRICT, WITHOUT ROWID;

-- Signed statements of a log's size and root (C2SP tlog-checkpoint).
CREATE TABLE audit_checkpoints (
  host TEXT NOT NULL,
  size INTEGER NOT NULL CHECK (size BETWEEN 1 AND 9007199254740991),
  note TEXT NOT NULL CHECK (length(note) <= 65536),
  made_at INTEGER NOT NULL CHECK (made_at BETWEEN 0 AND 9007199254740991),
  PRIMARY KEY (host, size)
) STRICT, WITHOUT ROWID;

-- What auditors say of checkpoints (C2SP tlog-cosignature).
CREATE TABLE audit_cosignatures (
  host TEXT NOT NULL,
  size INTEGER NOT NULL CHECK (size BETWEEN 1 AND 9007199254740991),
  signer TEXT NOT NULL,
  line TEXT NOT NULL CHECK (length(line) <= 4096),
  made_at INTEGER NOT NULL CHECK (made_at BETWEEN 0 AND 9007199254740991),
  PRIMARY KEY (host, size, signer)
) STRICT, WITHOUT ROWID;

-- For each of them: unchanged, there, and not replaced either, as audit_entries.
CREATE TRIGGER audit_subtrees_stay_unchanged BEFORE UPDATE ON audit_subtrees BEGIN
  SELECT RAISE(ABORT, 'cannot update audit subtrees: the audit log is only ever added to');
END;
CREATE TRIGGER audit_subtrees_stay BEFORE DELETE ON audit_subtrees BEGIN
  SELECT RAISE(ABORT, 'cannot delete audit subtrees: the audit log is only ever added to');
END;
CREATE TRIGGER audit_subtrees_stay_in_place BEFORE INSERT ON audit_subtrees
WHEN EXISTS (SELECT 1 FROM audit_subtrees WHERE host = NEW.host AND level = NEW.level AND position = NEW.position) BEGIN
  SELECT RAISE(ABORT, 'cannot replace audit subtrees: the audit log is only ever added to');
END;
CREATE TRIGGER audit_checkpoints_stay_unchanged BEFORE UPDATE ON audit_checkpoints BEGIN
  SELECT RAISE(ABORT, 'cannot update audit checkpoints: the audit log is only ever added to');
END;
CREATE TRIGGER audit_checkpoints_stay BEFORE DELETE ON audit_checkpoints BEGIN
  SELECT RAISE(ABORT, 'cannot delete audit checkpoints: the audit log is only ever added to');
END;
CREATE TRIGGER audit_checkpoints_stay_in_place BEFORE INSERT ON audit_checkpoints
WHEN EXISTS (SELECT 1 FROM audit_checkpoints WHERE host = NEW.host AND size = NEW.size) BEGIN
  SELECT RAISE(ABORT, 'cannot replace audit checkpoints: the audit log is only ever added to');
END;
-- A text may be erased, and never be another.
CREATE TRIGGER audit_texts_stay_unchanged BEFORE UPDATE ON audit_texts BEGIN
  SELECT RAISE(ABORT, 'cannot update audit texts: the audit log is only ever added to');
END;
CREATE TRIGGER audit_texts_stay_in_place BEFORE INSERT ON audit_texts
WHEN EXISTS (SELECT 1 FROM audit_texts WHERE host = NEW.host AND seq = NEW.seq AND name = NEW.name) BEGIN
  SELECT RAISE(ABORT, 'cannot replace audit texts: the audit log is only ever added to');
END;

-- How each host's auditor says that it is.
CREATE TABLE auditor_words (
  host TEXT PRIMARY KEY NOT NULL,
  vkey TEXT NOT NULL,
  started_at INTEGER NOT NULL CHECK (started_at BETWEEN 0 AND 9007199254740991),
  said_at INTEGER NOT NULL CHECK (said_at BETWEEN 0 AND 9007199254740991),
  state TEXT NOT NULL CHECK (state IN ('shipping', 'waiting', 'alarm', 'stopped')),
  message TEXT,
  verified_seq INTEGER NOT NULL CHECK (verified_seq BETWEEN 0 AND 9007199254740991)
) STRICT, WITHOUT ROWID;

-- Entries that a sink would not take, kept until it does.
CREATE TABLE auditor_parked (
  host TEXT NOT NULL,
  sink TEXT NOT NULL,
  seq INTEGER NOT NULL CHECK (seq BETWEEN 1 AND 9007199254740991),
  reason TEXT NOT NULL,
  attempts INTEGER NOT NULL CHECK (attempts >= 1),
  parked_at INTEGER NOT NULL CHECK (parked_at BETWEEN 0 AND 9007199254740991),
  tried_at INTEGER NOT NULL CHECK (tried_at BETWEEN 0 AND 9007199254740991),
  PRIMARY KEY (host, sink, seq)
) STRICT, WITHOUT ROWID;

-- What auditors found wrong with logs.
CREATE TABLE audit_alarms (
  id TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 36 AND id = lower(id)),
  host TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('rollback', 'fork', 'gap', 'broken-entry', 'bad-signature', 'sink')),
  at INTEGER NOT NULL CHECK (at BETWEEN 0 AND 9007199254740991),
  from_seq INTEGER CHECK (from_seq BETWEEN 1 AND 9007199254740991),
  to_seq INTEGER CHECK (to_seq BETWEEN 1 AND 9007199254740991),
  message TEXT NOT NULL,
  acknowledged_by TEXT,
  acknowledged_at INTEGER CHECK (acknowledged_at BETWEEN 0 AND 9007199254740991),
  CHECK ((from_seq IS NULL) = (to_seq IS NULL)),
  CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL))
) STRICT;

CREATE UNIQUE INDEX audit_alarms_open ON audit_alarms (host, kind, coalesce(from_seq, 0), coalesce(to_seq, 0))
  WHERE acknowledged_at IS NULL;
CREATE INDEX audit_alarms_by_time ON audit_alarms (host, at, id);

-- What opens somebody's session to an admin, for how long and why.
CREATE TABLE access_grants (
  ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL CHECK (length(id) = 36 AND id = lower(id)),
  host TEXT NOT NULL,  -- the machine in whose log it is
  session_id TEXT NOT NULL REFERENCES sessions (id),
  owner TEXT NOT NULL,  -- whose session it is
  grantee TEXT NOT NULL,
  grantee_uid INTEGER NOT NULL CHECK (grantee_uid BETWEEN 0 AND 4294967295),
  reason TEXT NOT NULL CHECK (length(reason) BETWEEN 1 AND 500),
  drive INTEGER NOT NULL CHECK (drive IN (0, 1)),
  opened_at INTEGER NOT NULL CHECK (opened_at BETWEEN 0 AND 9007199254740991),
  expires_at INTEGER NOT NULL CHECK (expires_at BETWEEN 0 AND 9007199254740991),
  ended_at INTEGER CHECK (ended_at BETWEEN 0 AND 9007199254740991),
  ended_by TEXT,
  ended_why TEXT CHECK (ended_why IN ('ended', 'expired', 'demoted')),
  CHECK (ordinal BETWEEN 1 AND 9007199254740991),
  CHECK ((ended_at IS NULL) = (ended_why IS NULL)),
  CHECK (ended_by IS NULL OR ended_at IS NOT NULL)
) STRICT;

CREATE UNIQUE INDEX access_grants_by_id ON access_grants (id);
-- Their last key is the rowid, which is the ordinal.
CREATE INDEX access_grants_by_owner ON access_grants (owner);
CREATE INDEX access_grants_by_grantee ON access_grants (grantee);
CREATE INDEX access_grants_by_session ON access_grants (session_id);
CREATE INDEX access_grants_open ON access_grants (host, expires_at) WHERE ended_at IS NULL;

-- What was delivered under a grant.
CREATE TABLE access_views (
  id TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 36 AND id = lower(id)),
  grant_id TEXT NOT NULL REFERENCES access_grants (id),
  host TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('transcript', 'follow', 'attach', 'drive')),
  opened_at INTEGER NOT NULL CHECK (opened_at BETWEEN 0 AND 9007199254740991),
  ended_at INTEGER CHECK (ended_at BETWEEN 0 AND 9007199254740991),
  first_seq INTEGER CHECK (first_seq BETWEEN 1 AND 9007199254740991),
  last_seq INTEGER CHECK (last_seq BETWEEN 1 AND 9007199254740991),
  bytes INTEGER NOT NULL DEFAULT 0 CHECK (bytes BETWEEN 0 AND 9007199254740991),
  is_complete INTEGER NOT NULL DEFAULT 0 CHECK (is_complete IN (0, 1)),
  CHECK ((first_seq IS NULL) = (last_seq IS NULL)),
  CHECK (ended_at IS NOT NULL OR (first_seq IS NULL AND bytes = 0 AND is_complete = 0))
) STRICT;

CREATE INDEX access_views_by_grant ON access_views (grant_id, opened_at);
CREATE INDEX access_views_open ON access_views (host) WHERE ended_at IS NULL;

-- What persons are told of what others did with their sessions.
CREATE TABLE notices (
  ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL CHECK (length(id) = 36 AND id = lower(id)),
  person TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('access.opened', 'session.stopped', 'session.renamed', 'session.commanded')),
  at INTEGER NOT NULL CHECK (at BETWEEN 0 AND 9007199254740991),
  session_id TEXT NOT NULL REFERENCES sessions (id),
  done_by TEXT NOT NULL,
  grant_id TEXT REFERENCES access_grants (id),
  seen_at INTEGER CHECK (seen_at BETWEEN 0 AND 9007199254740991),
  CHECK (ordinal BETWEEN 1 AND 9007199254740991),
  CHECK ((grant_id IS NOT NULL) = (kind = 'access.opened'))
) STRICT;

CREATE UNIQUE INDEX notices_by_id ON notices (id);
CREATE INDEX notices_by_person ON notices (person);
CREATE INDEX notices_unseen ON notices (person) WHERE seen_at IS NULL;

-- Up to which chunk an audit entry holds the hash of its transcript: 0 for none.
ALTER TABLE sessions ADD COLUMN sealed_seq INTEGER NOT NULL DEFAULT 0 CHECK (sealed_seq BETWEEN 0 AND 9007199254740991);
