-- Who each uid of a host was when it first used the service. A number or a name that comes back is known by it.

-- The account that a uid of a host is bound to.
CREATE TABLE accounts (
  host TEXT NOT NULL,  -- the machine whose kernel vouches for the uid
  uid INTEGER NOT NULL CHECK (uid BETWEEN 0 AND 4294967294),
  os_user TEXT,  -- account name that the uid had when it was bound; null where it had none
  -- Another uid has been given its name since: whoever comes with this uid is a stranger.
  retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1)),
  bound_at INTEGER NOT NULL CHECK (bound_at BETWEEN 0 AND 9007199254740991),  -- when it was bound, or an admin bound it again
  PRIMARY KEY (host, uid),
  CHECK (os_user IS NOT NULL OR NOT retired)
) STRICT, WITHOUT ROWID;
