-- The whole schema of creel's database. To query it while the service runs:
--
--   sqlite3 -readonly data/creel.db 'SELECT * FROM recent_messages'
--
-- Timestamps are RFC 3339 in UTC with microseconds and a fixed width, so that they sort by time and
-- work with SQLite's date functions.
--
-- SQLite's own table sqlite_sequence has two rows of creel: creel_commits, the number of commits of
-- the writer, and creel_timeline, a random number that changes when the history forks (after a
-- restore).

-- Received and verified webhooks. Only columns marked "updated" change after the insert.
CREATE TABLE messages (
  id                INTEGER PRIMARY KEY AUTOINCREMENT,        -- never used again, not even after clean-up
  received_at       TEXT    NOT NULL,                         -- when its last byte had arrived
  source            TEXT    NOT NULL,                         -- the configured sender
  event             TEXT    NOT NULL,                         -- <source>.<type>, <source>.message where there is no type
  owner             TEXT,                                     -- whom an emitted event belongs to; NULL for received ones
  delivery_id       TEXT,                                     -- the provider's own id; NULL where it has none
  method            TEXT    NOT NULL,                         -- of the request
  query             TEXT,                                     -- of the request, without the question mark; tokens redacted
  remote_ip         TEXT    NOT NULL,                         -- the client's address
  body_sha256       BLOB    NOT NULL,                         -- 32 bytes: SHA-256 of the exact body
  not_json          INTEGER NOT NULL DEFAULT 0,               -- 1: the body is not empty, not JSON and no form
  body_unsigned     INTEGER NOT NULL DEFAULT 0,               -- 1: what proved the sender does not cover the body
  unverified        INTEGER NOT NULL DEFAULT 0,               -- 1: released from quarantine by force
  conflict_of       INTEGER,                                  -- the message with the same delivery id and another body
  duplicates        INTEGER NOT NULL DEFAULT 0,               -- updated: how often the same message came again
  last_duplicate_at TEXT,                                     -- updated: when it last did
  confirmation      TEXT,                                     -- updated: what the provider's API said; NULL if not asked
  headers           TEXT    NOT NULL,                         -- JSON object: name to value, or values if it was repeated
  payload           TEXT,                                     -- the JSON body as received, or the decoded form as JSON
  body              BLOB                                      -- the exact body, where payload is not identical with it
, released_at TEXT /* when it was released from quarantine: its retention begins then */, unreadable TEXT /* why nothing could be read from the body: empty, not_json, too_deep …; NULL in rows of older versions */) STRICT;

CREATE INDEX messages_received_at ON messages (received_at);
CREATE INDEX messages_released_at ON messages (released_at) WHERE released_at IS NOT NULL;

-- Keys of messages, to recognise duplicates after the message was deleted. Appended in sorted
-- generations, because an index over random ids would dirty a page for each message. Messages above
-- the highest merged_through have no key here yet: they are found by their row in messages.
CREATE TABLE delivery_keys (
  generation  INTEGER NOT NULL,                               -- see key_generations
  key         BLOB    NOT NULL,                               -- 16 bytes of SHA-256 over source and delivery id
  message_id  INTEGER NOT NULL,                               -- the message that had it
  body_digest BLOB    NOT NULL,                               -- the first 16 bytes of its body_sha256
  PRIMARY KEY (generation, key, message_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE key_generations (
  generation     INTEGER PRIMARY KEY,                         -- counts up
  keys           INTEGER NOT NULL,                            -- how many it holds
  merged_through INTEGER NOT NULL,                            -- the newest message whose key is in it
  newest_at      TEXT    NOT NULL                             -- when it was last added to; it is dropped as a whole
) STRICT;

-- Quarantine: requests that failed authentication. Candidates have every part that the scheme
-- requires (a well-formed signature and a fresh time, or a token) and are stored within
-- CREEL_QUARANTINE_SIZE for CREEL_QUARANTINE_RETENTION. The rest is noise: at most 20 rows for each
-- network and cause, for a day.
CREATE TABLE rejections (
  id                 INTEGER PRIMARY KEY AUTOINCREMENT,       -- never used again
  received_at        TEXT    NOT NULL,                        -- when its last byte had arrived
  source             TEXT    NOT NULL,                        -- the source that it was sent to
  cause              TEXT    NOT NULL,                        -- signature_mismatch, stale_timestamp …
  candidate          INTEGER NOT NULL,                        -- 1: carries what the scheme demands, so it may be genuine
  remote_ip          TEXT    NOT NULL,                        -- the client's address
  network            TEXT    NOT NULL,                        -- /24 or /64 of remote_ip
  bytes              INTEGER NOT NULL,                        -- its share of CREEL_QUARANTINE_SIZE
  method             TEXT    NOT NULL,                        -- of the request
  query              TEXT,                                    -- without the question mark; tokens redacted
  headers            TEXT    NOT NULL,                        -- as in messages, credentials redacted
  body               BLOB,                                    -- NULL if it was not read, or is large and noise
  sealed_credentials BLOB                                     -- what was redacted, encrypted with CREEL_KEY
) STRICT;

CREATE INDEX rejections_received_at ON rejections (received_at);
CREATE INDEX rejections_candidates ON rejections (candidate, source, network, id, bytes) WHERE candidate = 1;
CREATE INDEX rejections_noise ON rejections (received_at) WHERE candidate = 0;

-- Counts of rejections that were dropped from quarantine or never stored there.
CREATE TABLE rejection_counts (
  source     TEXT    NOT NULL,                                -- the source that they were sent to
  cause      TEXT    NOT NULL,                                -- as in rejections
  counted    INTEGER NOT NULL,                                -- since first_at, without the rows in rejections
  candidates INTEGER NOT NULL,                                -- how many of them carried what the scheme demands
  first_at   TEXT    NOT NULL,                                -- when this count began
  last_at    TEXT    NOT NULL,                                -- when it last grew
  PRIMARY KEY (source, cause)
) STRICT, WITHOUT ROWID;

-- State of the service.
CREATE TABLE settings (
  name       TEXT    PRIMARY KEY,                             -- what it is: admin_token, inbox_path …
  value      TEXT    NOT NULL,                                -- base64 of nonce and ciphertext where sealed
  sealed     INTEGER NOT NULL,                                -- 1: encrypted with CREEL_KEY
  updated_at TEXT    NOT NULL                                 -- when it was last written
) STRICT, WITHOUT ROWID;

-- Instance ids in `webhook-id`: msg_<id>_<message>. A database whose files are not those of its
-- last run gets another id, so that new messages never repeat the webhook-id of lost ones.
CREATE TABLE instances (
  first_message INTEGER PRIMARY KEY,                          -- the first message that has this id in its webhook-id
  id            TEXT NOT NULL,                                -- random
  begun_at      TEXT NOT NULL                                 -- when it was made
) STRICT;

-- Receivers of messages: an HTTP URL, a local command, or a listener on a developer's machine.
CREATE TABLE targets (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,          -- never used again
  name            TEXT    NOT NULL,                           -- one that is not removed has it alone
  kind            TEXT    NOT NULL,                           -- http, command, listener
  origin          TEXT    NOT NULL,                           -- who made it: environment, api, replay, listener
  state           TEXT    NOT NULL,                           -- active, paused, disabled, removed
  state_since     TEXT    NOT NULL,                           -- when the state was entered
  state_reason    TEXT,                                       -- why, where the service itself did it
  owner           TEXT,                                       -- gets only events that were emitted for this owner
  events          TEXT    NOT NULL,                           -- JSON array of patterns
  filter          TEXT,                                       -- JSON array of conditions on the payload
  url             TEXT,                                       -- NULL where the environment says it
  content_type    TEXT,                                       -- json, form; NULL: as it was received
  sealed_secrets  TEXT,                                       -- secrets and headers, encrypted; NULL as for url
  concurrency     INTEGER NOT NULL,                           -- deliveries at the same time
  ordering        TEXT    NOT NULL,                           -- any, strict
  rate            TEXT,                                       -- such as 50/s
  timeout_seconds INTEGER NOT NULL,                           -- for each attempt
  wanted_since    TEXT,                                       -- of a listener: since when messages have still to be added
  created_at      TEXT    NOT NULL,                           -- when it was made
  updated_at      TEXT    NOT NULL                            -- when its settings were last changed
) STRICT;

CREATE UNIQUE INDEX targets_name ON targets (name) WHERE state <> 'removed';

-- One message for one target. A dead delivery becomes 'replayed' when a newer one replaces it.
CREATE TABLE deliveries (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,              -- never used again
  message_id  INTEGER NOT NULL,                               -- what is delivered
  target_id   INTEGER NOT NULL,                               -- where to
  state       TEXT    NOT NULL DEFAULT 'pending',             -- updated: pending, delivered, dead
  attempts    INTEGER NOT NULL DEFAULT 0,                     -- updated: tries so far
  created_at  TEXT    NOT NULL,                               -- when it was committed
  due_at      TEXT    NOT NULL,                               -- updated: its place in the target's queue
  not_before  TEXT,                                           -- updated: of a strict target, which keeps its place: the next try
  finished_at TEXT,                                           -- updated: when it was delivered or died
  outcome     TEXT,                                           -- updated: of the last attempt, or why it died
  replay_id   INTEGER                                         -- the replay that asked for it
) STRICT;

CREATE INDEX deliveries_due ON deliveries (target_id, due_at) WHERE state = 'pending';
CREATE INDEX deliveries_message ON deliveries (message_id);
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (target_id, message_id) WHERE state = 'dead';

-- Attempts of deliveries.
CREATE TABLE attempts (
  delivery_id INTEGER NOT NULL,                               -- whose
  number      INTEGER NOT NULL,                               -- from 1 on
  began_at    TEXT    NOT NULL,                               -- when it began
  took_ms     INTEGER NOT NULL,                               -- milliseconds until its outcome was known
  outcome     TEXT    NOT NULL,                               -- delivered, failed, gone
  status      INTEGER,                                        -- HTTP status or exit code; NULL without an answer
  error       TEXT,                                           -- what went wrong, where there was no answer
  excerpt     TEXT,                                           -- how the answer or output began
  PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;

-- Messages that the provider's API must confirm before delivery.
CREATE TABLE confirmations (
  message_id     INTEGER PRIMARY KEY,                         -- which message
  source         TEXT    NOT NULL,                            -- the configured sender
  state          TEXT    NOT NULL,                            -- awaiting, confirmed, refused
  tries          INTEGER NOT NULL DEFAULT 0,                  -- how often was asked
  unknowns       INTEGER NOT NULL DEFAULT 0,                  -- how often the answer was that there is no such thing
  due_at         TEXT    NOT NULL,                            -- when is asked next
  settled_at     TEXT,                                        -- when it was confirmed or refused
  reason         TEXT,                                        -- what the last answer was
  sealed_request TEXT                                         -- what is asked, encrypted; NULL once it is confirmed
) STRICT;

CREATE INDEX confirmations_due ON confirmations (source, due_at) WHERE state = 'awaiting';
CREATE INDEX confirmations_refused ON confirmations (settled_at) WHERE state = 'refused';

-- Repeated deliveries of many stored messages.
CREATE TABLE replays (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,               -- never used again
  created_at TEXT    NOT NULL,                                -- when it was asked for
  filter     TEXT    NOT NULL,                                -- JSON: which messages
  target_id  INTEGER,                                         -- where to; NULL: to whom they would go today
  rate       INTEGER NOT NULL,                                -- messages per second
  state      TEXT    NOT NULL,                                -- running, done, cancelled
  position   INTEGER NOT NULL,                                -- the last message that was looked at
  through    INTEGER NOT NULL,                                -- the newest message when it was asked for
  messages   INTEGER NOT NULL,                                -- how many have been replayed
  deliveries INTEGER NOT NULL,                                -- how many deliveries that made
  updated_at TEXT    NOT NULL                                 -- when it last went on
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

-- Failed authentication by source and cause, with the client networks.
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
