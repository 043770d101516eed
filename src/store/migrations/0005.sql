-- Instance ids in `webhook-id`: msg_<id>_<message>. A database whose files are not those of its
-- last run gets another id, so that new messages never repeat the webhook-id of lost ones.
CREATE TABLE instances (
  first_message INTEGER PRIMARY KEY,                          -- first message with this id in its webhook-id
  id            TEXT NOT NULL,                                -- random
  begun_at      TEXT NOT NULL                                 -- time of creation
) STRICT;

INSERT INTO instances (first_message, id, begun_at)
  SELECT 1, value, updated_at FROM settings WHERE name = 'instance_id';
DELETE FROM settings WHERE name = 'instance_id';
