ALTER TABLE messages ADD COLUMN unreadable TEXT /* why the body is unreadable: empty, not_json, too_deep …; NULL if it is readable, and in rows from before 0.1.0 */;
