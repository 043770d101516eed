-- The first version of the schema; `schema.sql` has the current one. To query the database while
-- the service runs:
--
--   sqlite3 -readonly data/creel.db 'SELECT * FROM recent_messages'
--
-- Timestamps are RFC 3339 in UTC with microseconds and a fixed width, so that they sort by time and
-- work with SQLite's date functions.

-- Received and verified webhooks. Only columns marked "updated" change after the insert, and
-- headers and remote_ip if a message that failed confirmation is received again.
CREATE TABLE messages (
  id                INTEGER PRIMARY KEY AUTOINCREMENT,        -- never reused, even after cleanup
  received_at       TEXT    NOT NULL,                         -- when its last byte arrived
  source            TEXT    NOT NULL,                         -- the configured sender
  event             TEXT    NOT NULL,                         -- <source>.<type>; <source>.message without a type
  owner             TEXT,                                     -- owner of an emitted event; NULL for received webhooks
  delivery_id       TEXT,                                     -- the provider's delivery id; NULL without one
  method            TEXT    NOT NULL,                         -- of the request
  query             TEXT,                                     -- query string without the question mark; tokens redacted
  remote_ip         TEXT    NOT NULL,                         -- the client's address
  body_sha256       BLOB    NOT NULL,                         -- 32 bytes: SHA-256 of the exact body
  not_json          INTEGER NOT NULL DEFAULT 0,               -- 1: the body is not empty and could not be read; see unreadable
  body_unsigned     INTEGER NOT NULL DEFAULT 0,               -- 1: the signature or token does not cover the body
  unverified        INTEGER NOT NULL DEFAULT 0,               -- 1: released from quarantine without verification
  conflict_of       INTEGER,                                  -- updated: message with the same delivery id and a different body
  duplicates        INTEGER NOT NULL DEFAULT 0,               -- updated: number of duplicates received
  last_duplicate_at TEXT,                                     -- updated: time of the last duplicate
  confirmation      TEXT,                                     -- updated: see confirmations.state; NULL if not required
  headers           TEXT    NOT NULL,                         -- JSON object: name to value, or to an array of values
  payload           TEXT,                                     -- the body as JSON text; NULL if unreadable
  body              BLOB                                      -- the exact body, unless payload is identical
) STRICT;

CREATE INDEX messages_received_at ON messages (received_at);

-- Keys of messages, to recognise duplicates after the message was deleted. Appended in sorted
-- generations, because an index over random ids would dirty a page for each message. Messages above
-- the highest merged_through have no key here yet: they are found by their row in messages.
CREATE TABLE delivery_keys (
  generation  INTEGER NOT NULL,                               -- see key_generations
  key         BLOB    NOT NULL,                               -- 16 bytes of SHA-256 over source and delivery id, or content without an id
  message_id  INTEGER NOT NULL,                               -- the message with this key
  body_digest BLOB    NOT NULL,                               -- the first 16 bytes of its body_sha256
  PRIMARY KEY (generation, key, message_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE key_generations (
  generation     INTEGER PRIMARY KEY,                         -- increasing
  keys           INTEGER NOT NULL,                            -- number of keys
  merged_through INTEGER NOT NULL,                            -- newest message whose key is included
  newest_at      TEXT    NOT NULL                             -- time of its last key; generations are dropped whole
) STRICT;

-- Quarantine: requests that failed authentication, for at most a day.
CREATE TABLE rejections (
  id                 INTEGER PRIMARY KEY AUTOINCREMENT,       -- increasing
  received_at        TEXT NOT NULL,                           -- when it was rejected
  source             TEXT NOT NULL,                           -- the source that it was sent to
  cause              TEXT NOT NULL,                           -- signature_mismatch, stale_timestamp …
  remote_ip          TEXT NOT NULL,                           -- the client's address
  network            TEXT NOT NULL,                           -- /24 or /64 of remote_ip: at most 20 rows per cause
  method             TEXT NOT NULL,                           -- of the request
  query              TEXT,                                    -- without the question mark; tokens redacted
  headers            TEXT NOT NULL,                           -- as in messages, credentials redacted
  body               BLOB,                                    -- NULL if the address is not allowed
  sealed_credentials BLOB                                     -- redacted values, encrypted with the key
) STRICT;

CREATE INDEX rejections_received_at ON rejections (received_at);

-- Counts of rejections beyond the limits of the quarantine.
CREATE TABLE rejection_counts (
  source   TEXT    NOT NULL,                                  -- the source that they were sent to
  cause    TEXT    NOT NULL,                                  -- as in rejections
  counted  INTEGER NOT NULL,                                  -- since first_at, without the rows in rejections
  first_at TEXT    NOT NULL,                                  -- start of this count
  last_at  TEXT    NOT NULL,                                  -- time of the last rejection
  PRIMARY KEY (source, cause)
) STRICT, WITHOUT ROWID;

-- State of the service.
CREATE TABLE settings (
  name       TEXT    PRIMARY KEY,                             -- e.g. admin_token, inbox_path
  value      TEXT    NOT NULL,                                -- base64 of nonce and ciphertext if sealed
  sealed     INTEGER NOT NULL,                                -- 1: encrypted with the key
  updated_at TEXT    NOT NULL                                 -- time of the last change
) STRICT, WITHOUT ROWID;

-- The newest messages, without long columns.
CREATE VIEW recent_messages AS
  SELECT id, received_at, event, delivery_id, duplicates,
         length(coalesce(body, CAST(payload AS BLOB))) AS bytes, remote_ip
  FROM messages ORDER BY id DESC LIMIT 100;

-- Messages by day and source, newest day first.
CREATE VIEW messages_per_day AS
  SELECT substr(received_at, 1, 10) AS day, source, count(*) AS messages, sum(duplicates) AS duplicates,
         sum(not_json) AS not_json, sum(conflict_of IS NOT NULL) AS conflicts
  FROM messages GROUP BY day, source ORDER BY day DESC, source;

-- Failed authentication by source and cause, with the client networks.
CREATE VIEW rejections_by_cause AS
  SELECT source, cause, count(*) AS rejections, min(received_at) AS first_at, max(received_at) AS last_at,
         group_concat(DISTINCT network) AS networks
  FROM rejections GROUP BY source, cause ORDER BY rejections DESC;
