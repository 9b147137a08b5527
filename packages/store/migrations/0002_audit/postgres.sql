-- The audit log. Entries are added and never changed or taken away: not even the tables' owner can do it by accident, and
-- the role of the api has no right to. Whoever owns the database can still drop the trigger; that is what sinks are for.

CREATE TABLE audit_heads (
  host text COLLATE "C" PRIMARY KEY,
  seq bigint NOT NULL CHECK (seq BETWEEN 1 AND 9007199254740991)
) WITH (fillfactor = 50);  -- one row per host, updated by every append (heap-only tuples)

COMMENT ON TABLE audit_heads IS 'The newest entry of each host''s log. Whoever appends holds its row until the commit.';
COMMENT ON COLUMN audit_heads.host IS 'The machine whose log it is.';
COMMENT ON COLUMN audit_heads.seq IS 'Sequence of the newest entry.';

CREATE TABLE audit_entries (
  host text COLLATE "C" NOT NULL,
  seq bigint NOT NULL CHECK (seq BETWEEN 1 AND 9007199254740991),
  at timestamptz NOT NULL CHECK (at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  entry bytea NOT NULL CHECK (octet_length(entry) BETWEEN 2 AND 65535),
  PRIMARY KEY (host, seq)
);

COMMENT ON TABLE audit_entries IS 'Who did what to what: one log per host, never changed.';
COMMENT ON COLUMN audit_entries.seq IS '1, 2, 3 ... without a gap, in the order of the commits.';
COMMENT ON COLUMN audit_entries.at IS 'As the entry says; no order is ever made of it.';
COMMENT ON COLUMN audit_entries.entry IS 'The exact bytes: JSON canonicalised by RFC 8785.';

CREATE TABLE auditor_cursors (
  host text COLLATE "C" NOT NULL,
  sink text COLLATE "C" NOT NULL,
  seq bigint NOT NULL CHECK (seq BETWEEN 0 AND 9007199254740991),
  moved_at timestamptz NOT NULL CHECK (moved_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  PRIMARY KEY (host, sink)
) WITH (fillfactor = 50);

COMMENT ON TABLE auditor_cursors IS 'How far each sink of a host''s auditor has got.';
COMMENT ON COLUMN auditor_cursors.seq IS 'The sink has confirmed everything up to this entry.';

-- The search path is pinned: nothing that somebody creates elsewhere can take the place of what the function calls.
CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'cannot % audit entries: the audit log is only ever added to', lower(TG_OP)
    USING ERRCODE = 'insufficient_privilege';
END
$$;

-- Per statement: TRUNCATE fires no other, and a statement that would change no row is refused as well.
CREATE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
-- Also where session_replication_role tells ordinary triggers not to fire.
ALTER TABLE audit_entries ENABLE ALWAYS TRIGGER audit_entries_stay;
