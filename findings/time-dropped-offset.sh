#!/bin/sh
# The time crate for Rust parses an ISO 8601 time with an offset as a local time, and drops the
# offset without an error.
#
# Software:  time 0.3.55 (crates.io)
# Expected:  parsing `2025-10-09T10:53:20+0200` into a type without an offset fails.
# Behaviour: `PrimitiveDateTime::parse` with `Iso8601::PARSING` succeeds and returns 10:53:20: the
# offset is read and discarded. `OffsetDateTime::parse` with `Rfc3339` rejects the text, because RFC
# 3339 requires a colon in the offset. Code that first tries RFC 3339 and then a time without an
# offset is therefore wrong by two hours, and only for some senders.
# Impact: a receiver that checks the age of a signed timestamp rejects fresh messages and accepts
# old ones.
# Remedy: parse such texts with `OffsetDateTime::parse` and `Iso8601::PARSING`, which requires the
# offset, and use a type without an offset only if the text has none.
#
# Output seen:
#   rfc 3339:  a character literal was not valid
#   primitive: 2025-10-09 10:53:20.0
#   offset:    2025-10-09 10:53:20.0 +02:00:00
set -eu

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
trap 'exit 1' INT TERM
cd "$directory"
cargo init --quiet --vcs none --name finding
cargo add --quiet time@=0.3.55 --features formatting,parsing
cat >src/main.rs <<'END'
use time::format_description::well_known::{Iso8601, Rfc3339};
use time::{OffsetDateTime, PrimitiveDateTime};

fn main() {
    let text = "2025-10-09T10:53:20+0200";
    let strict = OffsetDateTime::parse(text, &Rfc3339);
    let primitive = PrimitiveDateTime::parse(text, &Iso8601::PARSING);
    let offset = OffsetDateTime::parse(text, &Iso8601::PARSING);
    println!("rfc 3339:  {}", strict.as_ref().map_or_else(ToString::to_string, ToString::to_string));
    println!("primitive: {}", primitive.as_ref().map_or_else(ToString::to_string, ToString::to_string));
    println!("offset:    {}", offset.as_ref().map_or_else(ToString::to_string, ToString::to_string));
    assert!(strict.is_err() && primitive.is_ok(), "changed");
    assert_eq!(primitive.map(PrimitiveDateTime::assume_utc).map(|time| time.unix_timestamp()), Ok(1_760_007_200), "changed");
    assert_eq!(offset.map(OffsetDateTime::unix_timestamp), Ok(1_760_000_000), "changed");
}
END
cargo run --quiet
