//! Numbers of messages, bytes and rejections.

use std::ops::AddAssign;

/// Messages, the bytes of their bodies, and rejections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCount {
    pub messages: u64,
    pub bytes: u64,
    pub rejections: u64,
}

impl TrafficCount {
    pub const fn of_message(bytes: u64) -> Self {
        Self { messages: 1, bytes, rejections: 0 }
    }

    pub const fn of_rejection() -> Self {
        Self { messages: 0, bytes: 0, rejections: 1 }
    }

    /// Returns the part `numerator / denominator` of the counts, rounded down.
    pub fn scaled(self, numerator: u64, denominator: u64) -> Self {
        let part = |count: u64| {
            let scaled = u128::from(count) * u128::from(numerator) / u128::from(denominator.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        Self { messages: part(self.messages), bytes: part(self.bytes), rejections: part(self.rejections) }
    }

    pub fn is_zero(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for TrafficCount {
    fn add_assign(&mut self, more: Self) {
        self.messages = self.messages.saturating_add(more.messages);
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.rejections = self.rejections.saturating_add(more.rejections);
    }
}

impl std::iter::Sum for TrafficCount {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        let mut total = Self::default();
        counts.for_each(|count| total += count);
        total
    }
}
