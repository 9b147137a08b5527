-- Commands are numbered within their session: one number for all sessions told each member how many commands others give.

ALTER TABLE commands ADD COLUMN number bigint CHECK (number BETWEEN 1 AND 9007199254740991);

UPDATE commands SET number = numbered.number
FROM (SELECT id, row_number() OVER (PARTITION BY session_id ORDER BY id) AS number FROM commands) AS numbered
WHERE numbered.id = commands.id;

-- Its sequence goes with it, and so do the primary key and the indexes that it is in.
ALTER TABLE commands DROP COLUMN id;
ALTER TABLE commands ADD PRIMARY KEY (session_id, number);

COMMENT ON TABLE commands IS 'Durable requests to sessions, delivered in the order of their numbers, each at most once.';
COMMENT ON COLUMN commands.number IS '1, 2, 3 ... within the session, without a gap.';

CREATE INDEX commands_queued ON commands (session_id, number) WHERE state = 'queued';
