//! ISO 8601 and RFC 3339 times.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::*;

fn read(text: &str) -> Option<i64> {
    milliseconds(text.as_bytes())
}

#[test]
fn every_form_of_an_offset_is_the_same_time() {
    for text in [
        "2025-10-09T08:53:20Z",
        "2025-10-09t08:53:20z",
        "2025-10-09 08:53:20Z",
        "2025-10-09T08:53:20",
        "2025-10-09T08:53:20+00:00",
        "2025-10-09T08:53:20-00:00",
        "2025-10-09T08:53:20-00",
        "2025-10-09T10:53:20+02:00",
        "2025-10-09T10:53:20+0200",
        "2025-10-09T10:53:20+02",
        "2025-10-09T05:23:20-0330",
        "2025-10-09T14:38:20+05:45",
        "2025-10-08T20:53:20-12",
        "2025-10-09T22:53:20+14:00",
        "20251009T085320Z",
        "20251009T105320+0200",
    ] {
        assert_eq!(read(text), Some(1_760_000_000_000), "{text}");
    }
}

#[test]
fn decimals_of_any_length_are_cut_to_milliseconds() {
    for (decimals, thousandths) in [
        (".1", 100),
        (".12", 120),
        (",123", 123),
        (".1239", 123),
        (".000000000", 0),
        (".999999999999999999999999", 999),
    ] {
        for offset in ["", "Z", "+0000"] {
            let text = format!("2025-10-09T08:53:20{decimals}{offset}");
            assert_eq!(read(&text), Some(1_760_000_000_000 + thousandths), "{text}");
        }
    }
}

#[test]
fn leap_second_counts_only_at_day_end() {
    let next_day = read("2017-01-01T00:00:00Z");
    for text in ["2016-12-31T23:59:60Z", "2017-01-01T00:59:60+01:00", "2016-12-31T20:29:60-0330"] {
        assert_eq!(read(text), next_day, "{text}");
    }
    for text in
        ["2016-12-31T23:58:60Z", "2016-12-31T23:59:60+01:00", "2016-12-31T12:00:60", "2016-12-31T23:59:61Z"]
    {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn malformed_time_is_rejected() {
    for text in [
        "",
        "yesterday",
        "2025-10-09",
        "2025-10-09T",
        "2025-10-09T08",
        "2025-10-09T08:53",
        "2025-13-09T08:53:20Z",
        "2025-00-09T08:53:20Z",
        "2025-02-29T08:53:20Z",
        "2025-10-09T24:00:00Z",
        "2025-10-09T08:60:20Z",
        "2025-10-09T08:53:20.",
        "2025-10-09T08:53:20.Z",
        "2025-10-09T08:53:20+",
        "2025-10-09T08:53:20+2",
        "2025-10-09T08:53:20+020",
        "2025-10-09T08:53:20+02:",
        "2025-10-09T08:53:20+02:0",
        "2025-10-09T08:53:20+02:000",
        "2025-10-09T08:53:20+24:00",
        "2025-10-09T08:53:20+02:60",
        "2025-10-09T08:53:20 +02:00",
        "2025-10-09T08:53:20ZZ",
        "2025-10-09T08:53:20Z ",
        " 2025-10-09T08:53:20Z",
        "2025-1009T08:53:20Z",
        "2025-10-09T085320Z",
        "20251009T08:53:20Z",
        "+2025-10-09T08:53:20Z",
        "12025-10-09T08:53:20Z",
        "2025-10-09T08:53:20[Europe/Berlin]",
        "2025-10-09T08:53:20 UTC",
        "2025-W41-4T08:53:20Z",
        "1760000000",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    assert_eq!(read(&format!("2025-10-09T08:53:20.{}Z", "0".repeat(100))), None);
}

#[test]
fn dates_agree_with_the_time_library() {
    let mut day = OffsetDateTime::from_unix_timestamp(0).unwrap();
    while day.year() < 2105 {
        let text = day.format(&Rfc3339).unwrap();
        assert_eq!(read(&text), Some(day.unix_timestamp() * 1_000), "{text}");
        day += time::Duration::new(86_400 * 9 + 3_723, 0);
    }
}
