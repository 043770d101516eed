//! Header fields that a source reads, to warn about names that proxies drop.

use std::collections::BTreeSet;

use crate::scheme::condition::RequestCondition;
use crate::scheme::jwt::ClaimCheck;
use crate::scheme::place::Place;
use crate::scheme::signature::BoundSignature;

use super::confirm::ConfirmApi;
use super::recipe::Detail;
use super::verifier::Verifier;

impl Verifier {
    /// Returns the names in lower case; `x-acme-*` for a common prefix. Excludes headers that a
    /// scheme in code reads, because proxies do not drop their names, and those of
    /// `ConfirmApi::header_names`.
    pub fn header_names(&self) -> BTreeSet<String> {
        let (recipe, proofs) = (self.recipe(), &self.proofs);
        let details = recipe
            .event_type
            .iter()
            .chain(&recipe.event_action)
            .chain(recipe.delivery_id.iter().flatten())
            .filter_map(|detail| if let Detail::Header(name) = detail { Some(name.clone()) } else { None });
        let tokens = proofs.tokens.iter().map(|bound| bound.token.at());
        let signatures = proofs.signatures.iter().flat_map(BoundSignature::places);
        let jwts = proofs.jwts.iter().flat_map(|(jwt, _)| {
            let claims = jwt.claims.iter().filter_map(|claim| match &claim.must {
                ClaimCheck::Equal(text) => Some(text.places()),
                ClaimCheck::OneOf(_) | ClaimCheck::True => None,
            });
            claims.flatten().chain([&jwt.at])
        });
        let handshakes = recipe.handshakes.iter().flat_map(|rule| {
            let conditions = rule.when.iter().chain(&rule.check).map(RequestCondition::place);
            conditions.chain(&rule.challenge).chain(&rule.learn).chain(&rule.visit)
        });
        let places = tokens.chain(signatures).chain(jwts).chain(handshakes);
        places.filter_map(header_name).chain(details).collect()
    }
}

impl ConfirmApi {
    /// Returns the names of the headers whose values are part of the confirmation request.
    pub fn header_names(&self) -> impl Iterator<Item = String> {
        self.places().filter_map(header_name)
    }
}

fn header_name(place: &Place) -> Option<String> {
    match place {
        Place::Header(name) => Some(name.clone()),
        Place::Headers(beginning) => Some(format!("{beginning}*")),
        Place::Query(_) | Place::Json(_) | Place::Form(_) | Place::KeyOf { .. } => None,
    }
}
