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

-- Counts by day, source and event, newest day first. They outlive the messages.
CREATE VIEW daily_counts AS
  SELECT substr(hour, 1, 10) AS day, source, event, sum(messages) AS messages, sum(bytes) AS bytes,
         sum(rejections) AS rejections
  FROM hourly_counts GROUP BY day, source, event ORDER BY day DESC, source, event;
