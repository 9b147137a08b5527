-- Who each uid of a host was when it first used the service. A number or a name that comes back is known by it.

CREATE TABLE accounts (
  host text COLLATE "C" NOT NULL,
  uid bigint NOT NULL CHECK (uid BETWEEN 0 AND 4294967294),
  os_user text COLLATE "C",
  retired boolean NOT NULL DEFAULT false,
  bound_at timestamptz NOT NULL CHECK (bound_at BETWEEN '1970-01-01T00:00:00Z' AND '2255-06-05T23:47:34.740991Z'),
  PRIMARY KEY (host, uid),
  CHECK (os_user IS NOT NULL OR NOT retired)
);

COMMENT ON TABLE accounts IS 'The account that a uid of a host is bound to.';
COMMENT ON COLUMN accounts.host IS 'The machine whose kernel vouches for the uid.';
COMMENT ON COLUMN accounts.os_user IS 'Account name that the uid had when it was bound; null where it had none.';
COMMENT ON COLUMN accounts.retired IS 'Another uid has been given its name since: whoever comes with this uid is a stranger.';
COMMENT ON COLUMN accounts.bound_at IS 'When it was bound, or an admin bound it again.';
