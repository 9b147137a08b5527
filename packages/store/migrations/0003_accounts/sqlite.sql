-- Who each uid of a host was when it first used the service. A number or a name that comes back is known by it.

-- Uids of a host and the accounts that they were, all that there have been.
CREATE TABLE accounts (
  host TEXT NOT NULL,  -- the machine whose kernel vouches for the uid
  uid INTEGER NOT NULL CHECK (uid BETWEEN 0 AND 4294967294),
  os_user TEXT NOT NULL,  -- account name that the uid had; empty where it had none
  -- The uid or the name has been bound to another since: whoever comes with these two is a stranger.
  retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1)),
  bound_at INTEGER NOT NULL CHECK (bound_at BETWEEN 0 AND 9007199254740991),  -- or when an admin bound them again
  PRIMARY KEY (host, uid, os_user)
) STRICT, WITHOUT ROWID;
