-- Quarantine: requests that failed authentication. Candidates may be genuine: they carry every part
-- that the scheme requires, or a correct signature with a stale timestamp. The rest is noise.
DROP VIEW rejections_by_cause;
DROP INDEX rejections_received_at;
ALTER TABLE rejections RENAME TO old_rejections;

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

INSERT INTO rejections (id, received_at, source, cause, candidate, remote_ip, network, bytes, method, query, headers, body,
    sealed_credentials)
  SELECT id, received_at, source, cause,
    body IS NOT NULL AND cause IN ('signature_mismatch', 'token_mismatch', 'stale_timestamp', 'claim_mismatch',
      'wrong_account', 'unknown_key'),
    remote_ip, network,
    max(2048, 512 + length(CAST(headers AS BLOB)) + coalesce(length(CAST(query AS BLOB)), 0) + coalesce(length(body), 0)
      + coalesce(length(sealed_credentials), 0)),
    method, query, headers, body, sealed_credentials
  FROM old_rejections ORDER BY id;
DELETE FROM sqlite_sequence WHERE name = 'rejections';
INSERT INTO sqlite_sequence (name, seq) SELECT 'rejections', seq FROM sqlite_sequence WHERE name = 'old_rejections';
DROP TABLE old_rejections;

CREATE INDEX rejections_received_at ON rejections (received_at);
CREATE INDEX rejections_candidates ON rejections (candidate, source, network, id, bytes) WHERE candidate = 1;
CREATE INDEX rejections_noise ON rejections (received_at) WHERE candidate = 0;

CREATE VIEW rejections_by_cause AS
  SELECT source, cause, count(*) AS rejections, sum(candidate) AS candidates, min(received_at) AS first_at,
         max(received_at) AS last_at, group_concat(DISTINCT network) AS networks
  FROM rejections GROUP BY source, cause ORDER BY rejections DESC;

-- Counts of rejections that were dropped from quarantine or never stored there.
ALTER TABLE rejection_counts RENAME TO old_rejection_counts;

CREATE TABLE rejection_counts (
  source     TEXT    NOT NULL,                                -- the source that they were sent to
  cause      TEXT    NOT NULL,                                -- as in rejections
  counted    INTEGER NOT NULL,                                -- since first_at, without the rows in rejections
  candidates INTEGER NOT NULL,                                -- number of candidates among them
  first_at   TEXT    NOT NULL,                                -- start of this count
  last_at    TEXT    NOT NULL,                                -- time of the last rejection
  PRIMARY KEY (source, cause)
) STRICT, WITHOUT ROWID;

INSERT INTO rejection_counts SELECT source, cause, counted, 0, first_at, last_at FROM old_rejection_counts;
DROP TABLE old_rejection_counts;

-- A message released after days in quarantine has the full retention of a new one.
ALTER TABLE messages ADD COLUMN released_at TEXT /* release from quarantine, which starts its retention */;
CREATE INDEX messages_released_at ON messages (released_at) WHERE released_at IS NOT NULL;
