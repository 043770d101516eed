//! Rejections queued for the writer. Limits on the queue ensure that noise never displaces
//! candidates and that no network fills the queue.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::store::quarantine::drops::Drops;
use crate::store::quarantine::network::ClientNetwork;
use crate::store::quarantine::rejection::{DEFAULT_MAX_BYTES, NewRejection, RejectionKind};
use crate::store::quarantine::senders::{Sender, Senders};

const MAX_CANDIDATES: usize = 1_024;
const MAX_CANDIDATE_BYTES: usize = 16 << 20;
/// One network uses at most half of the space for candidates, except with a single candidate that
/// is larger than that.
const NETWORKS_SHARE: usize = 2;
/// Limits on candidates that wait for room at the same time: in total, and from one network. While
/// it waits, each holds its body and one of 4,096 connections, which is not closed to admit others.
/// Together with the queue, this is enough for a provider that sends a few hundred messages of 50
/// kB at the same time. Further candidates are dropped and answered immediately.
const MAX_WAITING: usize = 512;
const MAX_WAITING_OF_NETWORK: usize = 256;
const MAX_NOISE: usize = 256;
const MAX_NOISE_BYTES: usize = 1 << 20;
/// Noise with a larger body is stored without it.
const MAX_NOISE_BODY_BYTES: usize = 256 << 10;

/// Queue shared by the request handlers and the writer.
#[derive(Debug)]
pub struct Intake {
    queue: Mutex<IntakeQueue>,
    drops: Mutex<Drops>,
    senders: Mutex<Senders>,
    /// Notifies waiters when rows have left the queue.
    pub space: Notify,
    max_bytes: AtomicU64,
    numbers: [AtomicU64; 4],
}

/// Metrics of the quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuarantineStats {
    pub rows: u64,
    pub bytes: u64,
    /// Dropped candidates since the start.
    pub candidates_dropped: u64,
    pub noise_dropped: u64,
}

#[derive(Debug, Default)]
struct IntakeQueue {
    candidates: VecDeque<NewRejection>,
    candidate_bytes: usize,
    by_network: BTreeMap<ClientNetwork, (usize, usize)>,
    waiting: usize,
    waiting_by_network: BTreeMap<ClientNetwork, usize>,
    noise: VecDeque<NewRejection>,
    noise_bytes: usize,
}

/// A place among the rejections that wait for room; freed on drop.
#[derive(Debug)]
pub struct WaitingForRoom<'a> {
    intake: &'a Intake,
    network: ClientNetwork,
}

/// Outcome of an offered rejection.
#[derive(Debug)]
pub enum OfferOutcome {
    /// Queued; true if the queue was empty, so that the writer must be woken.
    Taken(bool),
    Full(NewRejection),
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            queue: Mutex::default(),
            drops: Mutex::default(),
            senders: Mutex::default(),
            space: Notify::new(),
            max_bytes: AtomicU64::new(DEFAULT_MAX_BYTES),
            numbers: Default::default(),
        }
    }
}

impl Intake {
    pub fn offer(&self, mut rejection: NewRejection) -> OfferOutcome {
        if rejection.kind == RejectionKind::Noise {
            rejection.body = rejection.body.filter(|body| body.len() <= MAX_NOISE_BODY_BYTES);
        }
        let mut queue = self.queue.lock();
        if !queue.has_room_for(&rejection) {
            return OfferOutcome::Full(rejection);
        }
        let was_empty = queue.is_empty();
        // Copied, because the original body holds a part of the budget for bodies in flight.
        let body = rejection.body.as_deref().map(Bytes::copy_from_slice);
        queue.push_back(NewRejection { body, ..rejection });
        OfferOutcome::Taken(was_empty)
    }

    /// Reserves a place to wait for room; `None` at the limit, and for noise.
    pub fn wait_for_room(&self, rejection: &NewRejection) -> Option<WaitingForRoom<'_>> {
        if rejection.kind == RejectionKind::Noise {
            return None;
        }
        let network = rejection.network();
        let mut queue = self.queue.lock();
        let of_network = queue.waiting_by_network.get(&network).copied().unwrap_or_default();
        if queue.waiting >= MAX_WAITING || of_network >= MAX_WAITING_OF_NETWORK {
            return None;
        }
        queue.waiting += 1;
        queue.waiting_by_network.insert(network, of_network + 1);
        Some(WaitingForRoom { intake: self, network })
    }

    /// Removes and returns the next rejection to write: candidates first, in order of arrival.
    pub fn take(&self) -> Option<NewRejection> {
        self.queue.lock().take()
    }

    /// Returns unwritten rejections to the front of the queue.
    pub fn put_back(&self, rejections: impl DoubleEndedIterator<Item = NewRejection>) {
        let mut queue = self.queue.lock();
        rejections.rev().for_each(|rejection| queue.push_front(rejection));
    }

    pub fn is_empty(&self) -> bool {
        self.queue.lock().is_empty()
    }

    /// Counts a rejection that was dropped instead of queued.
    pub fn count_unqueued(&self, rejection: &NewRejection) {
        if rejection.kind == RejectionKind::Candidate {
            self.drops.lock().note_unqueued();
        }
        self.count_dropped(rejection);
    }

    /// Counts a rejection that was queued, but not stored.
    pub fn count_dropped(&self, rejection: &NewRejection) {
        self.count(&rejection.source, Cow::Borrowed(rejection.cause), rejection.kind);
    }

    pub fn count(&self, source: &std::sync::Arc<str>, cause: Cow<'static, str>, kind: RejectionKind) {
        let number = if kind == RejectionKind::Candidate { &self.numbers[2] } else { &self.numbers[3] };
        number.fetch_add(1, Ordering::Relaxed);
        self.drops.lock().count(source, cause, kind);
    }

    pub fn has_drops(&self) -> bool {
        !self.drops.lock().is_empty()
    }

    pub fn take_drops(&self) -> Drops {
        std::mem::take(&mut *self.drops.lock())
    }

    pub fn put_back_drops(&self, drops: Drops) {
        self.drops.lock().append(drops);
    }

    /// Adds networks from which a source has received verified messages.
    pub fn learn_senders(&self, new: impl Iterator<Item = Sender>) {
        let mut senders = self.senders.lock();
        new.for_each(|sender| senders.learn(sender));
    }

    pub fn with_senders_after(&self, count: usize, read: impl FnOnce(&[Sender]) -> usize) -> usize {
        read(self.senders.lock().after(count))
    }

    pub fn limit_bytes(&self, max_bytes: u64) {
        self.max_bytes.store(max_bytes, Ordering::Relaxed);
    }

    pub fn max_bytes(&self) -> u64 {
        self.max_bytes.load(Ordering::Relaxed)
    }

    pub fn set_held(&self, rows: u64, bytes: u64) {
        self.numbers[0].store(rows, Ordering::Relaxed);
        self.numbers[1].store(bytes, Ordering::Relaxed);
    }

    pub fn stats(&self) -> QuarantineStats {
        let [rows, bytes, candidates_dropped, noise_dropped] =
            self.numbers.each_ref().map(|number| number.load(Ordering::Relaxed));
        QuarantineStats { rows, bytes, candidates_dropped, noise_dropped }
    }
}

impl Drop for WaitingForRoom<'_> {
    fn drop(&mut self) {
        let mut queue = self.intake.queue.lock();
        queue.waiting -= 1;
        if let Some(of_network) = queue.waiting_by_network.get_mut(&self.network) {
            *of_network -= 1;
            if *of_network == 0 {
                queue.waiting_by_network.remove(&self.network);
            }
        }
    }
}

impl IntakeQueue {
    fn is_empty(&self) -> bool {
        self.candidates.is_empty() && self.noise.is_empty()
    }

    fn has_room_for(&self, rejection: &NewRejection) -> bool {
        let bytes = rejection.content_bytes();
        if rejection.kind == RejectionKind::Noise {
            return self.noise.len() < MAX_NOISE && self.noise_bytes + bytes <= MAX_NOISE_BYTES;
        }
        let (rows, network_bytes) = self.by_network.get(&rejection.network()).copied().unwrap_or_default();
        // An empty queue accepts one body of any size.
        self.candidates.is_empty()
            || (self.candidates.len() < MAX_CANDIDATES
                && rows < MAX_CANDIDATES / NETWORKS_SHARE
                && self.candidate_bytes + bytes <= MAX_CANDIDATE_BYTES
                && (rows == 0 || network_bytes + bytes <= MAX_CANDIDATE_BYTES / NETWORKS_SHARE))
    }

    fn push_back(&mut self, rejection: NewRejection) {
        self.account(&rejection);
        match rejection.kind {
            RejectionKind::Candidate => self.candidates.push_back(rejection),
            RejectionKind::Noise => self.noise.push_back(rejection),
        }
    }

    fn push_front(&mut self, rejection: NewRejection) {
        self.account(&rejection);
        match rejection.kind {
            RejectionKind::Candidate => self.candidates.push_front(rejection),
            RejectionKind::Noise => self.noise.push_front(rejection),
        }
    }

    fn account(&mut self, rejection: &NewRejection) {
        let bytes = rejection.content_bytes();
        match rejection.kind {
            RejectionKind::Candidate => {
                let (rows, network_bytes) = self.by_network.entry(rejection.network()).or_default();
                *rows += 1;
                *network_bytes += bytes;
                self.candidate_bytes += bytes;
            }
            RejectionKind::Noise => self.noise_bytes += bytes,
        }
    }

    fn take(&mut self) -> Option<NewRejection> {
        if let Some(rejection) = self.candidates.pop_front() {
            let (bytes, network) = (rejection.content_bytes(), rejection.network());
            self.candidate_bytes -= bytes;
            if let Some((rows, network_bytes)) = self.by_network.get_mut(&network) {
                *rows -= 1;
                *network_bytes -= bytes;
                if *rows == 0 {
                    self.by_network.remove(&network);
                }
            }
            return Some(rejection);
        }
        let rejection = self.noise.pop_front()?;
        self.noise_bytes -= rejection.content_bytes();
        Some(rejection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::quarantine::tests::{candidate, noise};

    fn taken(intake: &Intake, rejection: NewRejection) -> bool {
        matches!(intake.offer(rejection), OfferOutcome::Taken(_))
    }

    #[test]
    fn queue_bounds_each_network_and_all() {
        let intake = Intake::default();
        let from = |address| (0..2_000).filter(|_| taken(&intake, candidate(address, 1))).count();
        assert_eq!((from("192.0.2.1"), from("198.51.100.1"), from("203.0.113.1")), (512, 512, 0));
    }

    #[test]
    fn noise_never_displaces_candidates() {
        let intake = Intake::default();
        assert_eq!((0..2_000).filter(|_| taken(&intake, noise("192.0.2.1", 1))).count(), MAX_NOISE);
        assert!(taken(&intake, candidate("192.0.2.1", 1)));
        assert_eq!(intake.take().unwrap().kind, RejectionKind::Candidate);
    }

    #[test]
    fn noise_with_large_body_is_stored_without_body() {
        let intake = Intake::default();
        assert!(taken(&intake, noise("192.0.2.1", 25 << 20)));
        assert_eq!(intake.take().unwrap().body, None);
    }

    #[test]
    fn waiting_candidates_are_bounded_for_each_network_and_all() {
        let intake = Intake::default();
        let wait = |address: &str| -> Vec<_> {
            (0..1_000).map_while(|_| intake.wait_for_room(&candidate(address, 1))).collect()
        };
        let (first, second) = (wait("192.0.2.1"), wait("198.51.100.1"));
        assert_eq!((first.len(), second.len(), wait("203.0.113.1").len()), (256, 256, 0));
        drop(first);
        assert_eq!((wait("198.51.100.2").len(), wait("203.0.113.1").len()), (0, 256));
        drop(second);
        assert!(intake.wait_for_room(&noise("192.0.2.1", 1)).is_none(), "noise never waits");
        let queue = intake.queue.lock();
        assert!(queue.waiting == 0 && queue.waiting_by_network.is_empty());
    }

    #[test]
    fn one_large_body_fits_into_an_empty_queue() {
        let intake = Intake::default();
        assert!(taken(&intake, candidate("192.0.2.1", 25 << 20)));
        assert!(!taken(&intake, candidate("198.51.100.1", 1)));
        let large = intake.take().unwrap();
        intake.put_back([large].into_iter());
        assert!(intake.take().is_some() && intake.is_empty());
        assert!(taken(&intake, candidate("198.51.100.1", 1)));
    }
}
