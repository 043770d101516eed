//! Retry schedule. No I/O; the caller passes the time and the jitter.

use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::store::random;

/// Pause before each attempt, including the first one: about three days in total.
const PAUSES_SECONDS: [u64; 12] = [0, 5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 86_400];
/// Maximum relative change of a pause, so that deliveries that fail together are not retried
/// together.
const JITTER: f64 = 0.1;
/// Limit on a longer pause that a target or a confirmation API requests.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the pause after the given number of failed attempts; `None` after the last one. `jitter`
/// is from -1 to 1.
pub fn next_try(tries: u32, jitter: f64) -> Option<Duration> {
    let seconds = *PAUSES_SECONDS.get(tries as usize)?;
    Some(Duration::from_secs(seconds).mul_f64(1.0 + JITTER * jitter.clamp(-1.0, 1.0)))
}

/// Returns the pause of `next_try`, or the requested one if that is longer.
pub fn next_try_after(tries: u32, jitter: f64, requested_pause: Option<Duration>) -> Option<Duration> {
    let pause = next_try(tries, jitter)?;
    Some(pause.max(requested_pause.unwrap_or_default().min(MAX_RETRY_AFTER)))
}

/// Parses a `Retry-After` header: seconds, or an HTTP date (RFC 9110, section 10.2.3). `None` for
/// anything else.
pub fn retry_after(text: &str, now: OffsetDateTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that does not fit exceeds the longest pause.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some(Duration::try_from(at - now).unwrap_or_default())
}

/// Returns a number from -1 to 1.
pub fn random_jitter() -> f64 {
    // A failure is ignored: without random numbers, the service cannot work in any case.
    let bytes = random::array().unwrap_or_default();
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX) * 2.0 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn twelve_attempts_take_about_three_days() {
        let pauses: Vec<Duration> = (0..).map_while(|tries| next_try(tries, 0.0)).collect();
        assert_eq!(pauses.len(), 12);
        assert_eq!(pauses[0], Duration::ZERO);
        let whole: Duration = pauses.iter().sum();
        assert!((2.5..3.5).contains(&(whole.as_secs_f64() / 86_400.0)), "{whole:?}");
    }

    #[test]
    fn jitter_changes_pause_by_at_most_a_tenth() {
        assert_eq!(next_try(2, 1.0), Some(Duration::from_secs(33)));
        assert_eq!(next_try(2, -1.0), Some(Duration::from_secs(27)));
        assert_eq!(next_try(2, 9.0), Some(Duration::from_secs(33)));
        let random: Vec<f64> = (0..100).map(|_| random_jitter()).collect();
        assert!(random.iter().all(|jitter| (-1.0..=1.0).contains(jitter)));
        assert!(random.iter().any(|jitter| *jitter < 0.0) && random.iter().any(|jitter| *jitter > 0.0));
    }

    #[test]
    fn requested_pause_can_only_extend_up_to_a_day() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(next_try_after(1, 0.0, Some(hour)), Some(hour));
        assert_eq!(next_try_after(1, 0.0, Some(hour * 1_000)), Some(hour * 24));
        assert_eq!(next_try_after(3, 0.0, Some(Duration::from_secs(1))), Some(Duration::from_secs(120)));
        assert_eq!(next_try_after(12, 0.0, Some(hour)), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = datetime!(2026-11-25 08:00:00 UTC);
        let rows = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Wed, 25 Nov 2026 08:01:30 GMT", Some(90)),
            ("Wed, 25 Nov 2026 07:00:00 GMT", Some(0)),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
