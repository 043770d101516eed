//! Reads two messages and compares them, on a blocking thread.

use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;

use super::diff::{MessageDelta, compare_messages};
use super::operator::Operator;
use super::problem::Problem;
use crate::request_id;
use crate::store::{Direction, MessageFilter, MessageId, MessageRow};

/// Short, because a client waits for the reply. The search reads pages of 20,000 messages.
const PREVIOUS_TIMEOUT: Duration = Duration::from_secs(10);

/// The message that another one is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherMessage {
    Id(MessageId),
    /// The newest earlier message of the same source and event.
    Previous,
}

/// Two messages and their difference. The first one is on the left.
#[derive(Debug)]
pub struct ComparedMessages {
    pub left: MessageRow,
    pub right: MessageRow,
    pub delta: MessageDelta,
    /// Must be held until the difference is serialized: difference and reply take many MiB.
    pub permit: OwnedSemaphorePermit,
}

impl Operator {
    /// Compares two messages. One comparison runs at a time, from the search for the other message
    /// to the serialized reply, so that many requests take neither the memory nor the processors
    /// from arriving messages.
    ///
    /// # Errors
    /// If one of the messages does not exist or cannot be read, or if no earlier message is found
    /// within 10 s.
    pub async fn diff(
        &self,
        id: MessageId,
        other: OtherMessage,
        hides_noise: bool,
    ) -> Result<ComparedMessages, Problem> {
        // The semaphore is never closed.
        let permit = self.comparing.clone().acquire_owned().await.map_err(|_| Problem::Internal)?;
        let other = match other {
            OtherMessage::Id(id) => id,
            OtherMessage::Previous => {
                // The body is dropped before the search.
                let head = self.message(id).await?.head;
                self.previous(&head).await?
            }
        };
        let (left, right) = (self.message(id).await?, self.message(other).await?);
        let compare = move || {
            let delta = compare_messages(&left, &right, hides_noise);
            ComparedMessages { left: left.head, right: right.head, delta, permit }
        };
        spawn_blocking(request_id::for_thread(compare)).await.map_err(|_| Problem::Internal)
    }

    /// Returns the newest earlier message of the same source and event.
    async fn previous(&self, head: &MessageRow) -> Result<MessageId, Problem> {
        let filter = MessageFilter {
            source: Some(head.source.clone()),
            event: Some(head.event.clone()),
            ..MessageFilter::default()
        };
        let deadline = Instant::now() + PREVIOUS_TIMEOUT;
        let mut from = head.id;
        while Instant::now() < deadline {
            let reads = self.store.reads();
            let page = reads.messages(filter.clone(), Direction::NewestFirst, Some(from), 1).await?;
            // An event can contain a star, which is a pattern for the store.
            if let Some(found) = page.messages.iter().find(|found| found.event == head.event) {
                return Ok(found.id);
            }
            from = page.next.ok_or(Problem::NoPreviousMessage(head.id))?;
        }
        Err(Problem::PreviousTooFar(head.id))
    }
}
