//! Keys of the newest messages, in memory.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use crate::store::id::MessageId;
use crate::store::keys::key::{BodyDigest, KeyEntry, KeyMatch, MessageKey};

/// Memory of one key, in bytes: its entry with a control byte, at the usual load of the hash table.
const BYTES_PER_KEY: usize = 2 * (size_of::<KeyEntry>() + 1);

/// The keys in memory. Nearly every key has one message; further messages with the same key
/// (conflicts) are stored separately.
#[derive(Debug, Default)]
pub struct RecentKeys {
    first: HashMap<MessageKey, (MessageId, BodyDigest), BuildHasherDefault<KeyHasher>>,
    more: BTreeMap<(MessageKey, MessageId), BodyDigest>,
}

impl RecentKeys {
    pub fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    pub fn bytes(&self) -> usize {
        self.first.capacity().max(self.first.len()) * BYTES_PER_KEY + self.more.len() * BYTES_PER_KEY
    }

    pub fn insert(&mut self, key: MessageKey, message: MessageId, digest: BodyDigest) {
        match self.first.get(&key) {
            Some((first, _)) if *first != message => drop(self.more.insert((key, message), digest)),
            _ => drop(self.first.insert(key, (message, digest))),
        }
    }

    pub fn remove(&mut self, key: MessageKey, message: MessageId) {
        if self.first.get(&key).is_some_and(|(first, _)| *first == message) {
            self.first.remove(&key);
        } else {
            self.more.remove(&(key, message));
        }
    }

    pub fn find(&self, key: MessageKey, digest: BodyDigest) -> KeyMatch {
        let Some((first, of_first)) = self.first.get(&key) else { return KeyMatch::Nothing };
        let known = KeyMatch::of(*first, *of_first == digest);
        let more = self.more.range((key, MessageId::START)..=(key, MessageId::END));
        more.fold(known, |known, (&(_, id), of_other)| known.and(KeyMatch::of(id, *of_other == digest)))
    }

    /// Returns each message with the key, and whether its body is the same.
    pub fn messages(&self, key: MessageKey, digest: BodyDigest) -> impl Iterator<Item = (MessageId, bool)> {
        let first = self.first.get(&key).map(|&(id, of_first)| (id, of_first == digest));
        let more = self.more.range((key, MessageId::START)..=(key, MessageId::END));
        first.into_iter().chain(more.map(move |(&(_, id), of_other)| (id, *of_other == digest)))
    }

    /// Returns all keys, in the order of the table on disk.
    pub fn sorted(&self) -> Vec<KeyEntry> {
        let first = self.first.iter().map(|(&key, &(id, digest))| (key, id, digest));
        let more = self.more.iter().map(|(&(key, id), &digest)| (key, id, digest));
        let mut entries: Vec<KeyEntry> = first.chain(more).collect();
        entries.sort_unstable();
        entries
    }
}

/// Passes the key through: it is part of a SHA-256, so another hash gains nothing.
#[derive(Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = (key >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> MessageKey {
        MessageKey::of_delivery_id("github", id)
    }

    const ONE: BodyDigest = BodyDigest(1);
    const TWO: BodyDigest = BodyDigest(2);

    #[test]
    fn key_finds_its_message_and_conflicts() {
        let mut recent = RecentKeys::default();
        assert_eq!(recent.find(key("a"), ONE), KeyMatch::Nothing);
        recent.insert(key("a"), 1.into(), ONE);
        recent.insert(key("a"), 5.into(), TWO);
        assert_eq!(recent.find(key("a"), ONE), KeyMatch::Same(1.into()));
        assert_eq!(recent.find(key("a"), TWO), KeyMatch::Same(5.into()));
        assert_eq!(recent.find(key("a"), BodyDigest(3)), KeyMatch::Other(1.into()));
        assert_eq!(recent.find(key("b"), ONE), KeyMatch::Nothing);
    }

    #[test]
    fn removed_key_is_not_found_and_others_are() {
        let mut recent = RecentKeys::default();
        recent.insert(key("a"), 1.into(), ONE);
        recent.insert(key("a"), 5.into(), TWO);
        recent.remove(key("a"), 5.into());
        assert_eq!(recent.find(key("a"), TWO), KeyMatch::Other(1.into()));
        recent.remove(key("a"), 1.into());
        assert_eq!((recent.find(key("a"), ONE), recent.len()), (KeyMatch::Nothing, 0));
    }

    #[test]
    fn entries_come_sorted() {
        let mut recent = RecentKeys::default();
        (0..1_000).for_each(|number| recent.insert(key(&number.to_string()), number.into(), ONE));
        let sorted = recent.sorted();
        assert_eq!(sorted.len(), 1_000);
        assert!(sorted.is_sorted());
    }
}
