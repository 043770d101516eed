#!/usr/bin/env bash
# SQLite: for duplicate keys in an object, `->>` and json_extract return the first value. Almost
# every parser returns the last.
#
# RFC 8259, section 4, does not define the result. Python, JavaScript, Go and serde_json use the
# last value, so a query over stored JSON can return a value other than the one that the storing
# program used. json_each yields both members, and json() keeps both.
#
# Seen with SQLite 3.46.0 (PyPI, apsw 3.46.0.0) and Python's json, on {"draft":true,"draft":false}:
#   sqlite ->>: 1
#   sqlite json_each: 1,0
#   python: False
set -euo pipefail

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
python3 -m venv "$directory/venv"
"$directory/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.46.0.0

"$directory/venv/bin/python" - <<'PYTHON'
import json
import sys

import apsw

text = '{"draft":true,"draft":false}'
connection = apsw.Connection(":memory:")
(first,) = connection.execute("SELECT ? ->> '$.draft'", (text,)).fetchone()
each = [value for (value,) in connection.execute("SELECT value FROM json_each(?)", (text,))]
last = json.loads(text)["draft"]
print(f"SQLite {apsw.sqlite_lib_version()}")
print(f"sqlite ->>: {first}")
print(f"sqlite json_each: {','.join(map(str, each))}")
print(f"python: {last}")
if (first, each, last) != (1, [1, 0], False):
    sys.exit("the behaviour has changed")
PYTHON
