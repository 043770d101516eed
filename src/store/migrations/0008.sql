-- Messages whose headers were replaced by those of a repeat. The search index has the words of the
-- first headers only.
ALTER TABLE confirmations ADD COLUMN has_new_headers INTEGER NOT NULL DEFAULT 0 /* 1: the headers of the message were replaced by those of a repeat */;

CREATE INDEX confirmations_new_headers ON confirmations (message_id) WHERE has_new_headers = 1;
