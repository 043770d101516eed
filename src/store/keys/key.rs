//! The key of a message, used to find duplicates.

use crate::store::id::MessageId;
use ring::digest::{Context, SHA256};

/// The first 16 bytes of SHA-256 over the source and the identity of the message within the source:
/// its delivery id, or its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey(pub(super) u128);

/// The first 16 bytes of a body's SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BodyDigest(pub(super) u128);

impl MessageKey {
    /// Returns the key of a message with a delivery id.
    pub fn of_delivery_id(source: &str, delivery_id: &str) -> Self {
        Self::of(&[b"id", source.as_bytes(), delivery_id.as_bytes()])
    }

    /// Returns the key of a message without a delivery id. Messages of one source with the same
    /// method, query and body have the same key.
    pub fn of_content(source: &str, method: &str, query: Option<&str>, body_sha256: &[u8]) -> Self {
        Self::of(&[
            b"content",
            source.as_bytes(),
            method.as_bytes(),
            query.unwrap_or("").as_bytes(),
            body_sha256,
        ])
    }

    /// Hashes the length of each part before the part, so that different lists of parts never have
    /// the same hash input.
    fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        Self(first_16(context.finish().as_ref()))
    }

    pub fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Returns the low 64 bits of the key as its hash, because the key is already uniformly
    /// distributed.
    pub fn hash(self) -> u64 {
        self.0 as u64
    }
}

impl BodyDigest {
    pub fn of(body_sha256: &[u8]) -> Self {
        Self(first_16(body_sha256))
    }
}

pub fn first_16(bytes: &[u8]) -> u128 {
    let mut first = [0; 16];
    let length = bytes.len().min(16);
    first[..length].copy_from_slice(&bytes[..length]);
    u128::from_be_bytes(first)
}

/// Result of a key lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyMatch {
    Nothing,
    /// The newest message with the same body.
    Same(MessageId),
    /// The first message with the key, with a different body.
    Other(MessageId),
}

pub type KeyEntry = (MessageKey, MessageId, BodyDigest);
