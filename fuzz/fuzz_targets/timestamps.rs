//! Timestamps in every unit: parsing returns the time that was written.
#![no_main]

use std::time::Duration;

use creel::testing::freshness::{SignedTime, TimestampUnit};
use time::OffsetDateTime;

const UNITS: [TimestampUnit; 6] = [
    TimestampUnit::Seconds,
    TimestampUnit::Milliseconds,
    TimestampUnit::SecondsOrMilliseconds,
    TimestampUnit::Rfc3339,
    TimestampUnit::Any,
    TimestampUnit::HttpDate,
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for unit in UNITS {
        let moment = unit.parse(data);
        let is_number = (1..=18).contains(&data.len()) && data.iter().all(u8::is_ascii_digit);
        if !matches!(unit, TimestampUnit::Rfc3339 | TimestampUnit::Any | TimestampUnit::HttpDate) {
            assert_eq!(moment.is_ok(), is_number, "{unit:?} takes only digits");
        }
        if let Ok(moment) = moment {
            check(unit, moment);
        }
    }
});

fn check(unit: TimestampUnit, moment: SignedTime) {
    // Any clock and any tolerance can be compared with the timestamp.
    let ends = [OffsetDateTime::UNIX_EPOCH, time::macros::datetime!(9999-12-31 23:59:59.999_999_999 UTC)];
    for clock in ends {
        let _ = moment.check(clock, Duration::ZERO);
        assert_eq!(moment.check(clock, Duration::MAX), Ok(()), "{moment:?} is too far from {clock}");
    }
    let Some(time) = time_of(moment) else { return };
    assert_eq!(moment.check(time, Duration::ZERO), Ok(()), "{moment:?} is not {time}");
    let second = time::Duration::SECOND;
    for clock in [time.checked_add(second), time.checked_sub(second)].into_iter().flatten() {
        assert_eq!(moment.check(clock, Duration::from_secs(1)), Ok(()), "{moment:?} at {clock}");
        assert!(moment.check(clock, Duration::ZERO).is_err(), "{moment:?} at {clock}");
    }
    // `write` is used only for samples, which have the current time.
    if time >= OffsetDateTime::UNIX_EPOCH {
        let written = unit.write(time);
        let read = unit
            .parse(written.as_bytes())
            .unwrap_or_else(|_| panic!("{unit:?} does not read its own {written}"));
        assert_eq!(read.check(time, Duration::ZERO), Ok(()), "{unit:?} reads {written} as {read:?}");
    }
}

/// The calendar time of a moment, if the calendar includes it.
fn time_of(moment: SignedTime) -> Option<OffsetDateTime> {
    match moment {
        SignedTime::Seconds(seconds) => OffsetDateTime::from_unix_timestamp(seconds).ok(),
        SignedTime::Milliseconds(milliseconds) => {
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000).ok()
        }
    }
}
