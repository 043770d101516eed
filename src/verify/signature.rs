//! One signature scheme: where the signature is, how it is written, what it is over.

use std::time::Duration;

use super::encoding::{Encoding, MAX_SIGNATURE_BYTES};
use super::freshness::{TimestampPlace, TimestampUnit};
use super::key::{Algorithm, VerifyingKey};
use super::layout::Layout;
use super::request::{Cause, Request};
use super::template::Template;

/// A scheme as its provider documents it.
#[derive(Clone, Debug)]
pub struct Scheme {
    /// The header with the signature, in lower case.
    pub header: String,
    pub layout: Layout,
    pub encoding: Encoding,
    pub algorithm: Algorithm,
    pub template: Template,
    pub timestamp: Option<Timestamp>,
}

/// The timestamp that a scheme signs.
#[derive(Clone, Debug)]
pub struct Timestamp {
    pub place: TimestampPlace,
    pub unit: TimestampUnit,
}

/// A scheme with the keys of one source. Without keys it accepts nothing, but still tells
/// a signature that this source does not allow from one that the provider does not know.
#[derive(Clone, Debug)]
pub struct Keyed {
    pub scheme: &'static Scheme,
    pub keys: Vec<VerifyingKey>,
}

impl Keyed {
    /// # Errors
    /// The cause of refusal. The clock comes last: only a genuine message can be called stale.
    pub fn check(&self, request: &Request<'_>, tolerance: Duration) -> Result<(), Cause> {
        let scheme = self.scheme;
        let value = request.headers.single(&scheme.header)?.ok_or(Cause::MissingHeader)?;
        let candidates = scheme.layout.candidates(value)?;
        if self.keys.is_empty() {
            return Err(Cause::MissingHeader);
        }
        let sent = match &scheme.timestamp {
            Some(timestamp) => {
                let text = timestamp.place.find(request, &scheme.layout, value)?;
                Some((text, timestamp.unit, timestamp.unit.parse(text)?))
            }
            None => None,
        };
        let text = sent.map(|(text, _, _)| text);
        self.check_candidates(request, text, candidates.as_slice())?;
        sent.map_or(Ok(()), |(_, unit, timestamp)| unit.check(timestamp, request.now, tolerance))
    }

    fn check_candidates(
        &self,
        request: &Request<'_>,
        timestamp: Option<&[u8]>,
        candidates: &[&[u8]],
    ) -> Result<(), Cause> {
        let length = self.scheme.algorithm.signature_bytes();
        let decoded = || {
            candidates
                .iter()
                .filter_map(|text| self.scheme.encoding.decode(text, length))
                .map(|bytes| Decoded { bytes, length })
        };
        if decoded().next().is_none() {
            return Err(Cause::MalformedSignature);
        }
        for key in &self.keys {
            if key.matches(&self.scheme.template, request, timestamp, decoded())? {
                return Ok(());
            }
        }
        Err(Cause::SignatureMismatch)
    }
}

struct Decoded {
    bytes: [u8; MAX_SIGNATURE_BYTES],
    length: usize,
}

impl AsRef<[u8]> for Decoded {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Checks a request against the schemes of one source, in the order of the recipe. The first header
/// that is present decides, so that a weaker one beside it cannot stand in for it;
/// schemes that share that header (versions in one list) are all tried.
///
/// # Errors
/// The cause that says most about the deciding header.
pub fn authenticate(schemes: &[Keyed], request: &Request<'_>, tolerance: Duration) -> Result<(), Cause> {
    let mut deciding: Option<&str> = None;
    let mut refusal = Cause::MissingHeader;
    for keyed in schemes {
        let header = keyed.scheme.header.as_str();
        if deciding.is_some_and(|decided| decided != header) {
            continue;
        }
        let Err(cause) = keyed.check(request, tolerance) else {
            return Ok(());
        };
        if cause != Cause::MissingHeader {
            deciding = Some(header);
        }
        if weight(cause) > weight(refusal) {
            refusal = cause;
        }
    }
    Err(refusal)
}

/// How far a check came before it failed.
const fn weight(cause: Cause) -> u8 {
    match cause {
        Cause::MissingHeader | Cause::TokenMismatch | Cause::AddressNotAllowed => 0,
        Cause::UnknownAlgorithm => 1,
        Cause::MalformedSignature => 2,
        Cause::SignatureMismatch => 3,
        Cause::StaleTimestamp => 4,
    }
}
