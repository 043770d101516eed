//! The shapes of challenges, ids and host names.

use std::ops::RangeInclusive;

/// The required shape of a challenge, so that creel signs no other text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChallengeShape {
    /// 1 to 100 characters of `[A-Za-z0-9_-]`.
    Id,
    /// A number of lower-case hex digits.
    HexDigits(RangeInclusive<usize>),
}

impl ChallengeShape {
    pub fn fits(&self, text: &[u8]) -> bool {
        match self {
            Self::Id => has_shape_of_id(text),
            Self::HexDigits(count) => {
                let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
                count.contains(&text.len()) && text.iter().all(is_digit)
            }
        }
    }
}

/// Whether a text has 1 to 100 characters, all of `[A-Za-z0-9_-]`.
pub fn has_shape_of_id(text: &[u8]) -> bool {
    (1..=100).contains(&text.len()) && text.iter().all(|byte| is_byte_of_id(*byte))
}

pub const fn is_byte_of_id(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Whether a host matches a pattern such as `sns.*.amazonaws.com`, in which the star matches one
/// label.
pub fn host_matches(pattern: &str, host: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == host };
    let label = host.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    label.is_some_and(|label| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}
