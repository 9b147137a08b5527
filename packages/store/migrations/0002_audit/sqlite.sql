-- The audit log. Entries are added and never changed or taken away: not by accident at least, since whoever owns the file can
-- do anything to it.

-- The newest entry of each host's log.
CREATE TABLE audit_heads (
  host TEXT PRIMARY KEY NOT NULL,  -- the machine whose log it is
  seq INTEGER NOT NULL CHECK (seq BETWEEN 1 AND 9007199254740991)
) STRICT, WITHOUT ROWID;

-- Who did what to what: one log per host, never changed.
CREATE TABLE audit_entries (
  host TEXT NOT NULL,
  seq INTEGER NOT NULL CHECK (seq BETWEEN 1 AND 9007199254740991),  -- 1, 2, 3 ... without a gap, in the order of the commits
  at INTEGER NOT NULL CHECK (at BETWEEN 0 AND 9007199254740991),  -- as the entry says; no order is ever made of it
  entry BLOB NOT NULL CHECK (length(entry) BETWEEN 2 AND 65535),  -- the exact bytes: JSON canonicalised by RFC 8785
  PRIMARY KEY (host, seq)
) STRICT;

-- How far each sink of a host's auditor has got.
CREATE TABLE auditor_cursors (
  host TEXT NOT NULL,
  sink TEXT NOT NULL,
  seq INTEGER NOT NULL CHECK (seq BETWEEN 0 AND 9007199254740991),  -- the sink has confirmed everything up to this entry
  moved_at INTEGER NOT NULL CHECK (moved_at BETWEEN 0 AND 9007199254740991),
  PRIMARY KEY (host, sink)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_entries_stay_unchanged BEFORE UPDATE ON audit_entries BEGIN
  SELECT RAISE(ABORT, 'cannot update audit entries: the audit log is only ever added to');
END;

CREATE TRIGGER audit_entries_stay BEFORE DELETE ON audit_entries BEGIN
  SELECT RAISE(ABORT, 'cannot delete audit entries: the audit log is only ever added to');
END;

-- REPLACE takes the row away without asking the trigger above (sqlite.org/lang_conflict.html).
CREATE TRIGGER audit_entries_stay_in_place BEFORE INSERT ON audit_entries
WHEN EXISTS (SELECT 1 FROM audit_entries WHERE host = NEW.host AND seq = NEW.seq) BEGIN
  SELECT RAISE(ABORT, 'cannot replace audit entries: the audit log is only ever added to');
END;
