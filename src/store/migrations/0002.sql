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

-- One message for one target.
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
) STRICT;

CREATE INDEX confirmations_due ON confirmations (source, due_at) WHERE state = 'awaiting';
CREATE INDEX confirmations_refused ON confirmations (settled_at) WHERE state = 'refused';

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

-- Pending deliveries by target.
CREATE VIEW pending_by_target AS
  SELECT targets.name AS target, targets.state AS target_state, count(*) AS pending, min(deliveries.due_at) AS next_due_at,
         max(deliveries.attempts) AS most_attempts
  FROM deliveries JOIN targets ON targets.id = deliveries.target_id
  WHERE deliveries.state = 'pending' GROUP BY targets.id ORDER BY pending DESC;

-- Failed deliveries, newest first.
CREATE VIEW dead_letters AS
  SELECT deliveries.id, deliveries.finished_at, targets.name AS target, deliveries.message_id, messages.event,
         deliveries.attempts, deliveries.outcome
  FROM deliveries JOIN targets ON targets.id = deliveries.target_id LEFT JOIN messages ON messages.id = deliveries.message_id
  WHERE deliveries.state = 'dead' ORDER BY deliveries.id DESC;
