ALTER TABLE messages ADD COLUMN unreadable TEXT /* why nothing could be read from the body: empty, not_json, too_deep …; NULL in rows of older versions */;
