ALTER TABLE messages ADD COLUMN unreadable TEXT /* why the body is unreadable: empty, not_json, too_deep …; NULL in rows of older versions */;
