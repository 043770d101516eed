#!/usr/bin/env bash
# SQLite reads and rebuilds the whole row to update a small column, e.g. a counter in a row with a
# large text.
#
# The text is in overflow pages, and `UPDATE t SET n = n + 1` neither reads nor changes it. Only one
# page is written, so the update looks cheap. But SQLite loads the text and builds the new record
# next to it, so its memory grows by two copies of the text. A counter in its own table avoids this.
# An INSERT of the row holds two copies as well: the bound value and the record.
#
# Seen with SQLite 3.54.1 (PyPI, apsw 3.54.1.0), a row with a counter and a text of 25 MB:
#   INSERT: 2 copies of the text in memory
#   UPDATE of the counter in the row: 2 copies in memory, 1 pages written
#   UPDATE of a counter in its own table: 0 copies in memory
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet "apsw==3.54.1.0"
cat > "$work/run.py" <<'PYTHON'
import os
import sys

import apsw

SIZE = 25_000_000
path = os.path.join(sys.argv[1], "a.db")
connection = apsw.Connection(path)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, body TEXT NOT NULL)")
connection.execute("CREATE TABLE counts (id INTEGER PRIMARY KEY, n INTEGER NOT NULL)")
connection.execute("INSERT INTO counts VALUES (1, 0)")


def copies(sql, values=()):
    """The largest memory of SQLite during the statement, in copies of the text."""
    before = apsw.memory_used()
    apsw.memory_high_water(True)
    connection.execute(sql, values)
    return round((apsw.memory_high_water() - before) / SIZE)


def wal_pages():
    return os.path.getsize(path + "-wal") // 4120


print("SQLite", apsw.sqlite_lib_version())
inserted = copies("INSERT INTO t VALUES (1, 0, ?)", ["x" * SIZE])
print("INSERT:", inserted, "copies of the text in memory")
connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
updated = copies("UPDATE t SET n = n + 1 WHERE id = 1")
written = wal_pages()
print("UPDATE of the counter in the row:", updated, "copies in memory,", written, "pages written")
apart = copies("UPDATE counts SET n = n + 1 WHERE id = 1")
print("UPDATE of a counter in its own table:", apart, "copies in memory")
assert (inserted, updated, apart) == (2, 2, 0), "the behaviour has changed"
assert written < 10, "the behaviour has changed"
PYTHON
"$work/venv/bin/python" "$work/run.py" "$work"
