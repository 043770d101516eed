#!/usr/bin/env bash
# SQLite: `PRAGMA incremental_vacuum(1000)` frees only one page, unless all its rows are read.
#
# According to the documentation, the pragma removes up to N pages from the freelist. It yields one
# empty row for each page, and frees a page with each step. A driver whose execute() runs a
# statement up to its first row, which is right for a query, frees a single page and reports no
# error. Read all rows, even of a statement that seems to return none.
#
# Seen with APSW 3.54.1.0 (PyPI), which has SQLite 3.54.1 built in:
#   1000 pages are free
#   after execute: 999
#   after reading all rows: 499
set -euo pipefail

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
python3 -m venv "$directory/venv"
"$directory/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.54.1.0

cat > "$directory/try.py" <<'PYTHON'
import sys

import apsw

database = apsw.Connection(sys.argv[1])
database.execute("PRAGMA auto_vacuum = INCREMENTAL").fetchall()
database.execute("CREATE TABLE content (body BLOB)")
with database:
    # Each row fills one overflow page and a part of a leaf.
    database.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100) "
                     "INSERT INTO content SELECT zeroblob(4060) FROM n")
    database.execute("DELETE FROM content")


def free_pages():
    return database.execute("PRAGMA freelist_count").fetchone()[0]


while free_pages() > 1000:
    database.execute("PRAGMA incremental_vacuum(1)").fetchall()
print(free_pages(), "pages are free")

cursor = database.cursor()
cursor.execute("PRAGMA incremental_vacuum(500)")
cursor.close(True)
print("after execute:", free_pages())

database.execute("PRAGMA incremental_vacuum(500)").fetchall()
print("after reading all rows:", free_pages())
PYTHON

seen=$("$directory/venv/bin/python" "$directory/try.py" "$directory/content.db")
expected='1000 pages are free
after execute: 999
after reading all rows: 499'
printf 'APSW 3.54.1.0, SQLite 3.54.1\n%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    printf 'the behaviour has changed; expected:\n%s\n' "$expected" >&2
    exit 1
fi
