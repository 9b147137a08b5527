-- Who each uid of a host was when it first used the service. A number or a name that comes back is known by it.

CREATE TABLE accounts (
  host text COLLATE "C" NOT NULL,
  uid bigint NOT NULL CHECK (uid BETWEEN 0 AND 4294967294),
  os_user text COLLATE "C" NOT NULL,
  retired boolean NOT NULL DEFAULT false,
  bound_at timestamptz NOT NULL CHECK (bound_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  PRIMARY KEY (host, uid, os_user)
);

COMMENT ON TABLE accounts IS 'Uids of a host and the accounts that they were, all that there have been.';
COMMENT ON COLUMN accounts.host IS 'The machine whose kernel vouches for the uid.';
COMMENT ON COLUMN accounts.os_user IS 'Account name that the uid had; empty where it had none.';
COMMENT ON COLUMN accounts.retired IS 'The uid or the name has been bound to another since: whoever comes with these two is a stranger.';
COMMENT ON COLUMN accounts.bound_at IS 'When they were bound, or an admin bound them again.';
