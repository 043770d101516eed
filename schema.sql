-- The whole schema of creel's database. To query the database while the service runs:
--
--   sqlite3 -readonly data/creel.db 'SELECT * FROM recent_messages'
--
-- Timestamps are RFC 3339 in UTC with microseconds and a fixed width, so that they sort by time and
-- work with SQLite's date functions.
--
-- SQLite's own table sqlite_sequence has two rows of creel: creel_commits, the number of commits of
-- the writer, and creel_timeline, a random number that changes when the history forks (after a
-- restore).

-- Messages: verified webhooks, requests released from quarantine, and events emitted by the app.
-- Only columns marked "updated" change after the insert, and headers and remote_ip if a message
-- that failed confirmation is received again.
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
, released_at TEXT /* release from quarantine, which starts its retention */, unreadable TEXT /* why the body is unreadable: empty, not_json, too_deep …; NULL if it is readable, and in rows from before 0.1.0 */) STRICT;

CREATE INDEX messages_received_at ON messages (received_at);
CREATE INDEX messages_released_at ON messages (released_at) WHERE released_at IS NOT NULL;

-- Keys of messages, to recognise duplicates after the message was deleted. Appended in sorted
-- generations, because an index over random ids would dirty a page for each message. Messages above
-- the highest merged_through have no key here yet: they are found by their row in messages.
CREATE TABLE delivery_keys (
  generation  INTEGER NOT NULL,                               -- see key_generations
  key         BLOB    NOT NULL,                               -- 16 bytes of SHA-256 over source and delivery id
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

-- Quarantine: requests that failed authentication. Candidates have every part that the scheme
-- requires (a well-formed signature and a fresh timestamp, or a token), or a correct signature with
-- a stale timestamp. They are stored within CREEL_QUARANTINE_SIZE for CREEL_QUARANTINE_RETENTION.
-- The rest is noise, stored for a day: at most 20 rows for each network and cause, and 1,000 rows
-- and 4 MiB for each source.
CREATE TABLE rejections (
  id                 INTEGER PRIMARY KEY AUTOINCREMENT,       -- never reused
  received_at        TEXT    NOT NULL,                        -- when its last byte arrived
  source             TEXT    NOT NULL,                        -- the source that it was sent to
  cause              TEXT    NOT NULL,                        -- signature_mismatch, stale_timestamp …
  candidate          INTEGER NOT NULL,                        -- 1: may be genuine; see above
  remote_ip          TEXT    NOT NULL,                        -- the client's address
  network            TEXT    NOT NULL,                        -- /24 or /64 of remote_ip
  bytes              INTEGER NOT NULL,                        -- bytes counted against CREEL_QUARANTINE_SIZE
  method             TEXT    NOT NULL,                        -- of the request
  query              TEXT,                                    -- without the question mark; tokens redacted
  headers            TEXT    NOT NULL,                        -- as in messages, credentials redacted
  body               BLOB,                                    -- NULL if it was not read, or is large and noise
  sealed_credentials BLOB                                     -- redacted values, encrypted with the key
) STRICT;

CREATE INDEX rejections_received_at ON rejections (received_at);
CREATE INDEX rejections_candidates ON rejections (candidate, source, network, id, bytes) WHERE candidate = 1;
CREATE INDEX rejections_noise ON rejections (received_at) WHERE candidate = 0;

-- Counts of rejections that were dropped from quarantine or never stored there.
CREATE TABLE rejection_counts (
  source     TEXT    NOT NULL,                                -- the source that they were sent to
  cause      TEXT    NOT NULL,                                -- as in rejections
  counted    INTEGER NOT NULL,                                -- since first_at, without the rows in rejections
  candidates INTEGER NOT NULL,                                -- number of candidates among them
  first_at   TEXT    NOT NULL,                                -- start of this count
  last_at    TEXT    NOT NULL,                                -- time of the last rejection
  PRIMARY KEY (source, cause)
) STRICT, WITHOUT ROWID;

-- State of the service.
CREATE TABLE settings (
  name       TEXT    PRIMARY KEY,                             -- e.g. admin_token, inbox_path
  value      TEXT    NOT NULL,                                -- base64 of nonce and ciphertext if sealed
  sealed     INTEGER NOT NULL,                                -- 1: encrypted with the key
  updated_at TEXT    NOT NULL                                 -- time of the last change
) STRICT, WITHOUT ROWID;

-- Instance ids in `webhook-id`: msg_<id>_<message>. A database whose files are not those of its
-- last run gets another id, so that new messages never repeat the webhook-id of lost ones.
CREATE TABLE instances (
  first_message INTEGER PRIMARY KEY,                          -- first message with this id in its webhook-id
  id            TEXT NOT NULL,                                -- random
  begun_at      TEXT NOT NULL                                 -- time of creation
) STRICT;

-- Receivers of messages: an HTTP URL, a local command, or a listener on a developer's machine.
CREATE TABLE targets (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,          -- never reused
  name            TEXT    NOT NULL,                           -- unique among targets that are not removed
  kind            TEXT    NOT NULL,                           -- http, command, listener
  origin          TEXT    NOT NULL,                           -- creator: environment, api, replay, listener
  state           TEXT    NOT NULL,                           -- active, paused, disabled, removed
  state_since     TEXT    NOT NULL,                           -- start of this state
  state_reason    TEXT,                                       -- reason, if the service changed the state
  owner           TEXT,                                       -- receives only events emitted for this owner
  events          TEXT    NOT NULL,                           -- JSON array of patterns
  filter          TEXT,                                       -- JSON array of conditions on the payload
  url             TEXT,                                       -- NULL if set in the environment
  content_type    TEXT,                                       -- json, form; NULL: as received
  sealed_secrets  TEXT,                                       -- secrets and headers, encrypted; NULL if set in the environment
  concurrency     INTEGER NOT NULL,                           -- limit on concurrent deliveries
  ordering        TEXT    NOT NULL,                           -- any, strict
  rate            TEXT,                                       -- e.g. 50/s
  timeout_seconds INTEGER NOT NULL,                           -- timeout of an attempt, in seconds
  wanted_since    TEXT,                                       -- listener: start of the messages still to be queued
  created_at      TEXT    NOT NULL,                           -- time of creation
  updated_at      TEXT    NOT NULL                            -- time of the last change of its settings
) STRICT;

CREATE UNIQUE INDEX targets_name ON targets (name) WHERE state <> 'removed';

-- One message for one target. A dead delivery becomes 'replayed' when a newer one replaces it.
CREATE TABLE deliveries (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,              -- never reused
  message_id  INTEGER NOT NULL,                               -- the delivered message
  target_id   INTEGER NOT NULL,                               -- the receiving target
  state       TEXT    NOT NULL DEFAULT 'pending',             -- updated: pending, delivered, dead, replayed
  attempts    INTEGER NOT NULL DEFAULT 0,                     -- updated: number of attempts
  created_at  TEXT    NOT NULL,                               -- time of the commit
  due_at      TEXT    NOT NULL,                               -- updated: position in the target's queue
  not_before  TEXT,                                           -- updated: next attempt of a strict target, which keeps its position
  finished_at TEXT,                                           -- updated: when it was delivered or became dead
  outcome     TEXT,                                           -- updated: outcome of the last attempt, or why it became a dead letter
  replay_id   INTEGER                                         -- the replay that created it
) STRICT;

CREATE INDEX deliveries_due ON deliveries (target_id, due_at) WHERE state = 'pending';
CREATE INDEX deliveries_message ON deliveries (message_id);
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (target_id, message_id) WHERE state = 'dead';

-- Attempts of deliveries.
CREATE TABLE attempts (
  delivery_id INTEGER NOT NULL,                               -- the delivery
  number      INTEGER NOT NULL,                               -- starts at 1
  began_at    TEXT    NOT NULL,                               -- start of the attempt
  took_ms     INTEGER NOT NULL,                               -- duration in milliseconds
  outcome     TEXT    NOT NULL,                               -- delivered, failed, gone
  status      INTEGER,                                        -- HTTP status or exit code; NULL without a response
  error       TEXT,                                           -- error, if there was no response
  excerpt     TEXT,                                           -- start of the response or output
  PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;

-- Messages that the provider's API must confirm before delivery.
CREATE TABLE confirmations (
  message_id     INTEGER PRIMARY KEY,                         -- the message to confirm
  source         TEXT    NOT NULL,                            -- the configured sender
  state          TEXT    NOT NULL,                            -- awaiting, confirmed, refused
  tries          INTEGER NOT NULL DEFAULT 0,                  -- number of queries
  unknowns       INTEGER NOT NULL DEFAULT 0,                  -- number of "not found" answers
  due_at         TEXT    NOT NULL,                            -- time of the next query
  settled_at     TEXT,                                        -- time of the final answer
  reason         TEXT,                                        -- the last answer
  sealed_request TEXT                                         -- the query, encrypted; NULL after confirmation
, has_new_headers INTEGER NOT NULL DEFAULT 0 /* 1: the headers of the message were replaced by those of a repeat */) STRICT;

CREATE INDEX confirmations_due ON confirmations (source, due_at) WHERE state = 'awaiting';
CREATE INDEX confirmations_refused ON confirmations (settled_at) WHERE state = 'refused';
CREATE INDEX confirmations_new_headers ON confirmations (message_id) WHERE has_new_headers = 1;

-- Replay jobs: each delivers many stored messages again.
CREATE TABLE replays (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,               -- never reused
  created_at TEXT    NOT NULL,                                -- time of the request
  filter     TEXT    NOT NULL,                                -- JSON: the selected messages
  target_id  INTEGER,                                         -- destination; NULL: targets that match today
  rate       INTEGER NOT NULL,                                -- messages per second
  state      TEXT    NOT NULL,                                -- running, done, cancelled
  position   INTEGER NOT NULL,                                -- last processed message
  through    INTEGER NOT NULL,                                -- newest message at the time of the request
  messages   INTEGER NOT NULL,                                -- number of replayed messages
  deliveries INTEGER NOT NULL,                                -- number of created deliveries
  updated_at TEXT    NOT NULL                                 -- time of the last progress
) STRICT;

-- Counts of messages and rejections by hour, source and event, kept for 400 days. At most 1,000
-- events of a source and hour have their own row; the rest is counted under the event '…other'.
CREATE TABLE hourly_counts (
  hour       TEXT    NOT NULL,                                -- start of the hour in UTC: 2026-01-31T23:00Z
  source     TEXT    NOT NULL,                                -- as in messages
  event      TEXT    NOT NULL,                                -- as in messages; '' for rejections, whose event is unknown
  messages   INTEGER NOT NULL,                                -- messages received in this hour; duplicates are not counted
  bytes      INTEGER NOT NULL,                                -- bytes of their exact bodies
  rejections INTEGER NOT NULL,                                -- requests that failed authentication, stored or not
  PRIMARY KEY (hour, source, event)
) STRICT, WITHOUT ROWID;

-- The same counts by minute, kept for three days.
CREATE TABLE minute_counts (
  minute     TEXT    NOT NULL,                                -- start of the minute in UTC: 2026-01-31T23:59Z
  source     TEXT    NOT NULL,                                -- as in hourly_counts
  event      TEXT    NOT NULL,                                -- as in hourly_counts
  messages   INTEGER NOT NULL,                                -- as in hourly_counts
  bytes      INTEGER NOT NULL,                                -- as in hourly_counts
  rejections INTEGER NOT NULL,                                -- as in hourly_counts
  PRIMARY KEY (minute, source, event)
) STRICT, WITHOUT ROWID;

-- The messages that are counted: those up to counted_through, except for uncounted_messages.
CREATE TABLE count_progress (
  id              INTEGER PRIMARY KEY,                        -- always 1: the table has one row
  counted_through INTEGER NOT NULL,                           -- newest counted message
  flushes         INTEGER NOT NULL                            -- number of writes from memory
) STRICT;

INSERT INTO count_progress (id, counted_through, flushes) VALUES (1, 0, 0);

-- Ranges of older messages to be counted in the background, e.g. after a crash.
CREATE TABLE uncounted_messages (
  first_id INTEGER PRIMARY KEY,                               -- first message of the range
  last_id  INTEGER NOT NULL                                   -- last message of the range
) STRICT;

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

-- Counts by day, source and event, newest day first. They outlive the messages.
CREATE VIEW daily_counts AS
  SELECT substr(hour, 1, 10) AS day, source, event, sum(messages) AS messages, sum(bytes) AS bytes,
         sum(rejections) AS rejections
  FROM hourly_counts GROUP BY day, source, event ORDER BY day DESC, source, event;

-- Rejections in quarantine by source and cause, with the client networks.
CREATE VIEW rejections_by_cause AS
  SELECT source, cause, count(*) AS rejections, sum(candidate) AS candidates, min(received_at) AS first_at,
         max(received_at) AS last_at, group_concat(DISTINCT network) AS networks
  FROM rejections GROUP BY source, cause ORDER BY rejections DESC;

-- Pending deliveries by target.
CREATE VIEW pending_by_target AS
  SELECT targets.name AS target, targets.state AS target_state, count(*) AS pending, min(deliveries.due_at) AS next_due_at,
         max(deliveries.attempts) AS most_attempts
  FROM deliveries JOIN targets ON targets.id = deliveries.target_id
  WHERE deliveries.state = 'pending' GROUP BY targets.id ORDER BY pending DESC;

-- Failed deliveries that were not replayed, newest first. Listeners have no dead letters.
CREATE VIEW dead_letters AS
  SELECT deliveries.id, deliveries.finished_at, targets.name AS target, targets.state AS target_state, deliveries.message_id,
         messages.event, deliveries.attempts, deliveries.outcome
  FROM deliveries JOIN targets ON targets.id = deliveries.target_id LEFT JOIN messages ON messages.id = deliveries.message_id
  WHERE deliveries.state = 'dead' AND targets.kind <> 'listener' ORDER BY deliveries.id DESC;
