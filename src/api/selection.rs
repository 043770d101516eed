//! Selections of messages and rejections in requests, shared by lists and operations.

use super::types::message::MessageSelection;
use super::types::rejection::RejectionSelection;
use crate::operate::{MessageCriteria, RejectionCriteria};

impl From<MessageSelection> for MessageCriteria {
    fn from(selection: MessageSelection) -> Self {
        let MessageSelection { source, event, since, until, text, owner, dead } = selection;
        Self { source, event, since, until, text, owner, is_dead: dead.unwrap_or(false) }
    }
}

impl From<RejectionSelection> for RejectionCriteria {
    fn from(selection: RejectionSelection) -> Self {
        let RejectionSelection { source, cause, since, until } = selection;
        Self { source, cause, since, until }
    }
}
