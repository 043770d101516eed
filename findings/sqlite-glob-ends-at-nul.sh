#!/usr/bin/env bash
# SQLite: GLOB and LIKE read the value and the pattern only up to the first NUL character. `=` and
# instr compare the whole text.
#
# So a condition on names that uses GLOB selects other rows than the same comparison in the program,
# as soon as a pattern from a URL (`%00`) or a stored name has a NUL.
#
# Seen with SQLite 3.46.0 (PyPI, apsw 3.46.0.0), on the texts `paid` and `paid` NUL `x`:
#   paid GLOB paid+NUL+x: 1
#   paid LIKE paid+NUL+x: 1
#   paid+NUL+x GLOB paid: 1
#   paid = paid+NUL+x: 0
#   instr(paid, paid+NUL+x): 0
set -euo pipefail

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
python3 -m venv "$directory/venv"
"$directory/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.46.0.0

"$directory/venv/bin/python" - <<'PYTHON'
import sys

import apsw

connection = apsw.Connection(":memory:")
short, long = "paid", "paid\0x"
rows = [
    ("paid GLOB paid+NUL+x", "? GLOB ?", (short, long), 1),
    ("paid LIKE paid+NUL+x", "? LIKE ?", (short, long), 1),
    ("paid+NUL+x GLOB paid", "? GLOB ?", (long, short), 1),
    ("paid = paid+NUL+x", "? = ?", (short, long), 0),
    ("instr(paid, paid+NUL+x)", "instr(?, ?)", (short, long), 0),
]
print(f"SQLite {apsw.sqlite_lib_version()}")
seen = []
for name, expression, values, _ in rows:
    ((result,),) = connection.execute(f"SELECT {expression}", values)
    print(f"{name}: {result}")
    seen.append(result)
if seen != [expected for *_, expected in rows]:
    sys.exit("the behaviour has changed")
PYTHON
