//! A rejected request to be stored in the quarantine.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use time::OffsetDateTime;

use crate::store::quarantine::network::ClientNetwork;

pub const DEFAULT_MAX_BYTES: u64 = 256 << 20;
/// Estimated size of a row and its index entries, apart from the content.
const ROW_OVERHEAD_BYTES: u64 = 512;
/// Minimum size that a candidate counts as. If the limit of the quarantine divided by `MAX_ROWS` is
/// larger, it applies instead, so that there are at most `MAX_ROWS` candidates.
const MIN_ROW_BYTES: u64 = 2 << 10;
const MAX_ROWS: u64 = 131_072;

/// Name under which credentials are sealed; they open under the same name only.
pub const SEALED_AS: &str = "rejection";

/// Whether a rejected request may be genuine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RejectionKind {
    /// Carries the parts that the scheme requires: a well-formed signature and a fresh time, or a
    /// token; or is correctly signed with a stale time.
    Candidate,
    Noise,
}

/// A request that failed authentication.
#[derive(Clone, Debug)]
pub struct NewRejection {
    pub received_at: OffsetDateTime,
    pub source: Arc<str>,
    /// Name of the cause, such as `signature_mismatch`.
    pub cause: &'static str,
    pub kind: RejectionKind,
    pub remote_ip: IpAddr,
    pub method: String,
    pub query: Option<String>,
    /// JSON object, credentials redacted.
    pub headers: String,
    /// `None` if the body was not read, or must not be stored.
    pub body: Option<Bytes>,
    /// The redacted values, as JSON; sealed before they are stored.
    pub credentials: Option<String>,
}

impl NewRejection {
    pub fn content_bytes(&self) -> usize {
        let texts = self.headers.len() + self.query.as_ref().map_or(0, String::len);
        texts + self.body.as_ref().map_or(0, Bytes::len) + self.credentials.as_ref().map_or(0, String::len)
    }

    pub fn network(&self) -> ClientNetwork {
        ClientNetwork::of(self.remote_ip)
    }

    /// Returns the bytes that it counts as in a quarantine of `max_bytes`.
    pub fn share(&self, max_bytes: u64) -> u64 {
        let bytes = self.content_bytes() as u64 + ROW_OVERHEAD_BYTES;
        match self.kind {
            RejectionKind::Candidate => bytes.max(MIN_ROW_BYTES).max(max_bytes / MAX_ROWS),
            RejectionKind::Noise => bytes,
        }
    }
}

/// Outcome of writing a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    Written,
    Dropped,
    /// More rows must be evicted first than one transaction may delete.
    Postponed,
}
