//! Headers that identify a message, but that only some schemes of a source cover. If another scheme
//! decides, anyone could have added them, so they are ignored.

use crate::content::view::View;
use crate::scheme::signature::{self, BoundSignature};

use super::super::recipe::{Detail, Recipe};
use super::bound::BoundProofs;

impl BoundProofs {
    /// Returns the headers of the recipe's event type and delivery id that some, but not all,
    /// signatures of the source cover.
    pub fn partly_signed_headers(&self, recipe: &'static Recipe) -> Vec<&'static str> {
        let ids = recipe.delivery_id.iter().flatten();
        let details = recipe.event_type.iter().chain(&recipe.event_action).chain(ids);
        let headers = details.filter_map(|detail| match detail {
            Detail::Header(name) => Some(name.as_str()),
            Detail::Query(_) | Detail::Json(_) => None,
        });
        headers.filter(|header| self.is_partly_signed(header)).collect()
    }

    fn is_partly_signed(&self, header: &str) -> bool {
        let keyed = || self.signatures.iter().filter(|keyed| !keyed.keys.are_absent());
        let covers = |keyed: &BoundSignature| keyed.scheme.template.covers_header(header);
        keyed().any(covers) && (self.may_decide_without_signature() || !keyed().all(covers))
    }

    /// Whether the header can be trusted. If the request has a signature, the signature must cover
    /// the header. Otherwise, if the source has a JWT or a scheme in code, that may have decided,
    /// and neither covers headers. If the source has neither, the request was accepted by its token
    /// (which a captured signed request does not contain), or an operator released it.
    pub fn cover_header(&self, header: &str, view: &View<'_>) -> bool {
        signature::is_covered(&self.signatures, view, |text| text.covers_header(header))
            .unwrap_or_else(|| !self.may_decide_without_signature())
    }

    fn may_decide_without_signature(&self) -> bool {
        !self.jwts.is_empty() || self.code.is_some()
    }
}
