//! Whether a request carries authentication of the kind that a scheme requires: present,
//! well-formed and fresh, with any key. A genuine sender whose secret differs from the configured
//! one sends such requests; a scanner does not. The check computes no digest and fetches nothing,
//! so it costs less than the verification that failed before it.

use super::condition::RequestCondition;
use super::freshness::TimestampPlace;
use super::key_store::{MAX_ID_BYTES, MAX_URL_BYTES, is_pinned};
use super::place::Place;
use super::signature::{BoundSignature, SignatureKeys, Terms};
use crate::content::request::Cause;
use crate::content::view::View;

impl BoundSignature {
    pub fn is_carried(&self, view: &View<'_>, terms: &Terms<'_>) -> bool {
        if self.keys.are_absent() {
            return false;
        }
        let is_in = |value: &[u8]| match self.is_carried_in(view, terms, value.trim_ascii()) {
            true => Ok(()),
            false => Err(Cause::MissingHeader.into()),
        };
        self.try_values(view, is_in).is_ok()
    }

    /// Whether `is_carried` reads a value in the body.
    pub fn has_proof_in_body(&self) -> bool {
        !self.keys.are_absent() && self.places().any(Place::is_in_body)
    }

    /// The places that the scheme reads.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        let scheme = self.scheme;
        let of_key = match &self.keys {
            SignatureKeys::ById(place) | SignatureKeys::Certificate { url: place, .. } => Some(place),
            SignatureKeys::Secrets(_) | SignatureKeys::Public(_) | SignatureKeys::AnyPublished => None,
        };
        let of_time = scheme.timestamp.as_ref().and_then(|timestamp| match &timestamp.at {
            TimestampPlace::Request(place) => Some(place),
            TimestampPlace::Layout(_) => None,
        });
        let conditions = scheme.require.iter().map(RequestCondition::place);
        scheme.template.places().chain(conditions).chain(of_key).chain(of_time).chain([&scheme.at])
    }

    fn is_carried_in(&self, view: &View<'_>, terms: &Terms<'_>, value: &[u8]) -> bool {
        let scheme = self.scheme;
        let applies = scheme.require.iter().all(|condition| condition.holds(view, terms.texts) == Ok(true));
        applies
            && scheme.template.required_places().all(|place| place.require(view).is_ok())
            && !self.yields_in(value)
            && self.names_key(view)
            && scheme.layout.groups(value).any(|group| self.is_readable_and_fresh(view, terms, group))
    }

    fn is_readable_and_fresh(&self, view: &View<'_>, terms: &Terms<'_>, group: &[u8]) -> bool {
        let scheme = self.scheme;
        let Ok(candidates) = scheme.layout.candidates(group) else { return false };
        let length = scheme.algorithm.signature_bytes();
        let is_readable = candidates.as_slice().iter().any(|text| {
            let bytes = scheme.encoding.decode_any(text);
            bytes.is_some_and(|bytes| length.is_none_or(|length| bytes.len() == length))
        });
        is_readable
            && scheme.timestamp.as_ref().is_none_or(|timestamp| {
                let text = timestamp.at.find(view, &scheme.layout, group);
                let moment = text.and_then(|text| timestamp.unit.parse(&text));
                moment.is_ok_and(|moment| moment.check(view.request.now, terms.tolerance).is_ok())
            })
    }

    /// Whether the request names its key by a usable id or by a certificate URL at an allowed host,
    /// if the scheme requires that.
    fn names_key(&self, view: &View<'_>) -> bool {
        match &self.keys {
            SignatureKeys::Secrets(_) | SignatureKeys::Public(_) | SignatureKeys::AnyPublished => true,
            SignatureKeys::ById(place) => place.require(view).is_ok_and(|id| {
                let is_plain = id.len() <= MAX_ID_BYTES && !matches!(&*id, b"." | b"..");
                is_plain && std::str::from_utf8(&id).is_ok()
            }),
            SignatureKeys::Certificate { url, hosts } => url.require(view).is_ok_and(|url| {
                let is_allowed = |host: &str| hosts.iter().any(|allowed| allowed == host);
                let url = std::str::from_utf8(&url).ok().filter(|url| url.len() <= MAX_URL_BYTES);
                url.is_some_and(|url| is_pinned(url, is_allowed))
            }),
        }
    }
}
