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

-- One message for one target.
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
