//! The writer's answers about messages. Waking a task on another thread costs a system call, so
//! after a batch the writer wakes only one waiting task of each thread, which then wakes the others
//! on its own thread.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use slab::Slab;

use crate::store::error::Unavailable;
use crate::store::message::insert::InsertOutcome;

pub type KeepAnswer = Result<InsertOutcome, Unavailable>;

thread_local! {
    /// The mailbox of all requests that begin on this thread.
    static MAILBOX: Arc<Mailbox> = Arc::default();
}

/// Requests that wait for the writer. Any thread may poll them, but only on the thread where they
/// began do they wake each other without a system call.
#[derive(Debug, Default)]
struct Mailbox(Mutex<MailboxState>);

#[derive(Debug, Default)]
struct MailboxState {
    slots: Slab<MailboxSlot>,
    /// Tasks that have an answer and were not woken yet. The task that the writer wakes wakes them;
    /// if it is dropped instead of polled, its `PendingAnswer` does.
    answered: Vec<Waker>,
}

#[derive(Debug)]
enum MailboxSlot {
    Waiting(Option<Waker>),
    Answered(KeepAnswer),
    /// The request has stopped waiting, the writer still holds its `AnswerSender`.
    Abandoned,
}

/// The writer's end. Dropping it without an answer means that the writer has failed.
#[derive(Debug)]
pub struct AnswerSender {
    mailbox: Arc<Mailbox>,
    slot: usize,
    is_answered: bool,
}

/// The request's end: resolves to the answer.
#[derive(Debug)]
pub struct PendingAnswer {
    mailbox: Arc<Mailbox>,
    /// `None` after the answer was returned.
    slot: Option<usize>,
}

/// The answers of one batch.
#[derive(Debug, Default)]
pub struct BatchAnswers(Vec<(AnswerSender, KeepAnswer)>);

/// Creates the two ends for one message.
pub fn channel() -> (AnswerSender, PendingAnswer) {
    let mailbox = MAILBOX.with(Arc::clone);
    let slot = mailbox.0.lock().slots.insert(MailboxSlot::Waiting(None));
    (
        AnswerSender { mailbox: mailbox.clone(), slot, is_answered: false },
        PendingAnswer { mailbox, slot: Some(slot) },
    )
}

impl MailboxState {
    fn answer(&mut self, slot: usize, answer: KeepAnswer) {
        let Some(entry) = self.slots.get_mut(slot) else { return };
        match std::mem::replace(entry, MailboxSlot::Answered(answer)) {
            MailboxSlot::Waiting(waker) => self.answered.extend(waker),
            MailboxSlot::Answered(_) => {}
            MailboxSlot::Abandoned => drop(self.slots.try_remove(slot)),
        }
    }
}

impl Mailbox {
    /// Stores answers, then wakes one of the tasks that have one.
    fn answer(&self, answers: impl Iterator<Item = (usize, KeepAnswer)>) {
        let mut state = self.0.lock();
        answers.for_each(|(slot, answer)| state.answer(slot, answer));
        let first = state.answered.pop();
        drop(state);
        first.into_iter().for_each(Waker::wake);
    }
}

impl AnswerSender {
    /// Whether the request has stopped waiting.
    pub fn is_closed(&self) -> bool {
        matches!(self.mailbox.0.lock().slots.get(self.slot), None | Some(MailboxSlot::Abandoned))
    }

    pub fn send(mut self, answer: KeepAnswer) {
        self.is_answered = true;
        self.mailbox.answer(std::iter::once((self.slot, answer)));
    }
}

impl Drop for AnswerSender {
    fn drop(&mut self) {
        if !self.is_answered {
            self.mailbox.answer(std::iter::once((self.slot, Err(Unavailable::Failed))));
        }
    }
}

impl BatchAnswers {
    pub fn push(&mut self, sender: AnswerSender, answer: KeepAnswer) {
        self.0.push((sender, answer));
    }

    /// Sends all answers, with one wake-up for each mailbox.
    pub fn send(mut self) {
        while let Some((last, _)) = self.0.last() {
            let mailbox = last.mailbox.clone();
            let of_mailbox = self.0.extract_if(.., |(sender, _)| Arc::ptr_eq(&sender.mailbox, &mailbox));
            mailbox.answer(of_mailbox.map(|(mut sender, answer)| {
                sender.is_answered = true;
                (sender.slot, answer)
            }));
        }
    }
}

impl Future for PendingAnswer {
    type Output = KeepAnswer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<KeepAnswer> {
        let Some(slot) = self.slot else { return Poll::Ready(Err(Unavailable::Failed)) };
        let mut state = self.mailbox.0.lock();
        let taken = match state.slots.get_mut(slot) {
            Some(MailboxSlot::Waiting(waker)) => Err(waker.replace(context.waker().clone())),
            Some(MailboxSlot::Answered(_) | MailboxSlot::Abandoned) | None => {
                Ok(state.slots.try_remove(slot))
            }
        };
        let answered = std::mem::take(&mut state.answered);
        drop(state);
        answered.into_iter().for_each(Waker::wake);
        match taken {
            Err(_replaced) => Poll::Pending,
            Ok(slot) => {
                self.slot = None;
                Poll::Ready(match slot {
                    Some(MailboxSlot::Answered(answer)) => answer,
                    Some(MailboxSlot::Waiting(_) | MailboxSlot::Abandoned) | None => Err(Unavailable::Failed),
                })
            }
        }
    }
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        let mut state = self.mailbox.0.lock();
        // A waker is dropped after the lock, because that can run code of its task.
        let _left = match state.slots.get_mut(slot) {
            Some(entry @ MailboxSlot::Waiting(_)) => Some(std::mem::replace(entry, MailboxSlot::Abandoned)),
            Some(MailboxSlot::Answered(_) | MailboxSlot::Abandoned) | None => state.slots.try_remove(slot),
        };
        let answered = std::mem::take(&mut state.answered);
        drop(state);
        answered.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::store::id::MessageId;
    use crate::store::message::insert::Receipt;

    /// Counts how often a task is woken.
    #[derive(Default)]
    struct WakeCounter(AtomicUsize);

    impl Wake for WakeCounter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Waiting {
        task: Arc<WakeCounter>,
        pending: Option<PendingAnswer>,
    }

    impl Waiting {
        fn poll(&mut self) -> Poll<KeepAnswer> {
            let waker = Waker::from(self.task.clone());
            Pin::new(self.pending.as_mut().unwrap()).poll(&mut Context::from_waker(&waker))
        }

        fn wake_ups(&self) -> usize {
            self.task.0.load(Ordering::Relaxed)
        }
    }

    fn waiting(count: usize) -> (Vec<AnswerSender>, Vec<Waiting>) {
        let (replies, pending): (Vec<_>, Vec<_>) = (0..count).map(|_| channel()).unzip();
        let mut waiting: Vec<_> = pending
            .into_iter()
            .map(|pending| Waiting { task: Arc::default(), pending: Some(pending) })
            .collect();
        waiting.iter_mut().for_each(|one| assert_eq!(one.poll(), Poll::Pending));
        (replies, waiting)
    }

    fn stored(id: i64) -> KeepAnswer {
        Ok(InsertOutcome::Stored(Receipt::New { id: MessageId::of_rowid(id) }))
    }

    fn answer_all(replies: Vec<AnswerSender>) {
        let mut answers = BatchAnswers::default();
        (1..).zip(replies).for_each(|(id, reply)| answers.push(reply, stored(id)));
        answers.send();
    }

    fn slots() -> usize {
        MAILBOX.with(|mailbox| mailbox.0.lock().slots.len())
    }

    #[test]
    fn batch_wakes_one_task_which_wakes_the_others() {
        let (replies, mut waiting) = waiting(5);
        answer_all(replies);
        let woken: Vec<usize> = (0..5).filter(|at| waiting[*at].wake_ups() > 0).collect();
        assert_eq!(woken.len(), 1);
        let first = woken[0];
        assert_eq!(waiting[first].poll(), Poll::Ready(stored(first as i64 + 1)));
        for (at, one) in waiting.iter_mut().enumerate().filter(|(at, _)| *at != first) {
            assert_eq!(one.wake_ups(), 1);
            assert_eq!(one.poll(), Poll::Ready(stored(at as i64 + 1)));
        }
        assert_eq!(slots(), 0);
    }

    #[test]
    fn woken_task_that_is_dropped_wakes_the_others() {
        let (replies, mut waiting) = waiting(4);
        answer_all(replies);
        let woken = waiting.iter().position(|one| one.wake_ups() > 0).unwrap();
        drop(waiting.remove(woken));
        for one in &mut waiting {
            assert_eq!(one.wake_ups(), 1);
            assert!(one.poll().is_ready());
        }
        assert_eq!(slots(), 0);
    }

    #[test]
    fn answer_before_first_poll_is_returned() {
        let (reply, mut pending) = channel();
        reply.send(stored(7));
        let polled = Pin::new(&mut pending).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(stored(7)));
    }

    #[test]
    fn dropped_reply_is_a_failure() {
        let (replies, mut waiting) = waiting(1);
        drop(replies);
        assert_eq!(waiting[0].wake_ups(), 1);
        assert_eq!(waiting[0].poll(), Poll::Ready(Err(Unavailable::Failed)));
    }

    #[test]
    fn slot_of_abandoned_request_is_used_again_after_the_answer() {
        let (replies, mut requests) = waiting(1);
        requests[0].pending = None;
        assert!(replies[0].is_closed());
        let (_others, _) = waiting(1);
        assert_eq!(slots(), 2);
        answer_all(replies);
        assert_eq!(slots(), 1);
    }

    #[test]
    fn mailboxes_of_several_threads_get_their_own_answers() {
        let (replies, mut requests) = waiting(3);
        let other = std::thread::spawn(|| {
            let (replies, requests) = waiting(3);
            (replies, requests)
        });
        let (others, mut other_requests) = other.join().unwrap();
        let mixed = replies.into_iter().zip(others).flat_map(|(one, other)| [one, other]).collect();
        answer_all(mixed);
        for all in [&requests, &other_requests] {
            assert_eq!(all.iter().map(Waiting::wake_ups).sum::<usize>(), 1);
        }
        for (at, one) in requests.iter_mut().enumerate() {
            assert_eq!(one.poll(), Poll::Ready(stored(2 * at as i64 + 1)));
        }
        for (at, one) in other_requests.iter_mut().enumerate() {
            assert_eq!(one.poll(), Poll::Ready(stored(2 * at as i64 + 2)));
        }
    }
}
