#!/usr/bin/env bash
# SQLite: paging with `(at, id) > (?, ?)` reads all rows with the current time for every page.
#
# Row values are the recommended way to page through a list ("scrolling window queries"), and an
# index on `at` has the rowid as its second part, so the comparison looks like one seek. But SQLite
# seeks only with the first member of the pair (`at>?` in the plan, which really is `at>=?`) and
# tests the second member row by row. The results are right. With many rows of one time, as after a
# bulk import or with a clock of whole seconds, the last page costs as much as reading all of them,
# and the cost of the whole list is quadratic. `at >= ?1 AND (at > ?1 OR id > ?2)` has the same
# problem. Two queries, `at = ?1 AND id > ?2` and then `at > ?1`, seek.
#
# Seen with APSW 3.54.1.0 (PyPI), which has SQLite 3.54.1 built in; 100,000 rows of one time, the
# page after row 90,000; steps of the virtual machine:
#   row value: SEARCH item USING COVERING INDEX item_at (at>?); 10 rows, 810122 steps
#   two conditions: SEARCH item USING COVERING INDEX item_at (at>?); 10 rows, 450092 steps
#   equal time: SEARCH item USING COVERING INDEX item_at (at=? AND rowid>?); 10 rows, 62 steps
set -euo pipefail

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
python3 -m venv "$directory/venv"
"$directory/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.54.1.0

cat > "$directory/try.py" <<'PYTHON'
import apsw

database = apsw.Connection(":memory:")
database.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, at TEXT NOT NULL)")
database.execute("CREATE INDEX item_at ON item (at)")
with database:
    database.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
                     "INSERT INTO item (at) SELECT '2026-11-22T12:00:00Z' FROM n")

forms = {
    "row value": "SELECT id FROM item WHERE (at, id) > (?1, ?2) ORDER BY at, id LIMIT 10",
    "two conditions": "SELECT id FROM item WHERE at >= ?1 AND (at > ?1 OR id > ?2) ORDER BY at, id LIMIT 10",
    "equal time": "SELECT id FROM item WHERE at = ?1 AND id > ?2 ORDER BY id LIMIT 10",
}
for name, sql in forms.items():
    position = ("2026-11-22T12:00:00Z", 90000)
    plan = database.execute("EXPLAIN QUERY PLAN " + sql, position).fetchone()[3]
    profiles = []
    database.trace_v2(apsw.SQLITE_TRACE_PROFILE, profiles.append)
    rows = database.execute(sql, position).fetchall()
    database.trace_v2(0)
    steps = profiles[-1]["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]
    print(f"{name}: {plan}; {len(rows)} rows, {steps} steps")
PYTHON

seen=$("$directory/venv/bin/python" "$directory/try.py")
expected='row value: SEARCH item USING COVERING INDEX item_at (at>?); 10 rows, 810122 steps
two conditions: SEARCH item USING COVERING INDEX item_at (at>?); 10 rows, 450092 steps
equal time: SEARCH item USING COVERING INDEX item_at (at=? AND rowid>?); 10 rows, 62 steps'
printf 'APSW 3.54.1.0, SQLite 3.54.1\n%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    printf 'the behaviour has changed; expected:\n%s\n' "$expected" >&2
    exit 1
fi
