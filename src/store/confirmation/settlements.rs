//! Messages whose confirmation was settled since the last cleanup. Cleanup skipped these messages
//! while they awaited confirmation. It checks a message again when one of its deliveries finishes;
//! a settled message may have no delivery, so it is listed here. The list is only in memory,
//! because cleanup walks all messages after a start.

use crate::store::id::MessageId;
use parking_lot::Mutex;

/// Limit on stored ids (512 KiB). Above it, cleanup walks all messages instead.
const MAX_IDS: usize = 65_536;

#[derive(Debug, Default)]
pub struct SettledMessages(Mutex<Settlements>);

/// Messages settled since the last [`SettledMessages::take`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settlements {
    pub messages: Vec<MessageId>,
    /// Whether settled messages are missing from the list, because it was full.
    pub is_incomplete: bool,
}

impl SettledMessages {
    /// Adds `message` after the commit that settled its confirmation.
    pub fn add(&self, message: MessageId) {
        let mut settlements = self.0.lock();
        if settlements.is_incomplete {
            return;
        }
        if settlements.messages.len() < MAX_IDS {
            settlements.messages.push(message);
        } else {
            *settlements = Settlements { messages: Vec::new(), is_incomplete: true };
        }
    }

    pub fn take(&self) -> Settlements {
        std::mem::take(&mut *self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settlements_are_taken_once() {
        let settled = SettledMessages::default();
        settled.add(7.into());
        settled.add(3.into());
        assert_eq!(settled.take(), Settlements { messages: vec![7.into(), 3.into()], is_incomplete: false });
        assert_eq!(settled.take(), Settlements::default());
    }

    #[test]
    fn settlements_above_limit_are_reported_as_incomplete() {
        let settled = SettledMessages::default();
        (0..70_000).for_each(|message| settled.add(message.into()));
        assert_eq!(settled.take(), Settlements { messages: Vec::new(), is_incomplete: true });
        settled.add(1.into());
        assert_eq!(settled.take(), Settlements { messages: vec![1.into()], is_incomplete: false });
    }
}
