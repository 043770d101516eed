//! The coverage of a source's schemes, and their description.

use crate::content::request::Request;
use crate::providers::recipe::Coverage;
use crate::scheme::signature::{self, BoundSignature};

use super::Verifier;

impl Verifier {
    /// Whether the authentication of an accepted request covers its body. If a source also accepts
    /// tokens, a request can still have a signature, which then decides.
    pub fn covers_body_of(&self, request: &Request<'_>) -> bool {
        let is_signed =
            || signature::is_covered(&self.proofs.signatures, &self.view(request), |text| text.has_body());
        // Some schemes sign a normal form of the body, so other bytes have the same signature.
        let is_exact = self.recipe.signed_coverage != Coverage::Partial;
        self.covers_body() || (is_exact && self.verifies_sender() && is_signed() == Some(true))
    }

    /// Whether the source accepts signatures over the body.
    pub fn accepts_signatures_over_body(&self) -> bool {
        let covers = |keyed: &BoundSignature| !keyed.keys.are_absent() && keyed.scheme.template.has_body();
        self.proofs.signatures.iter().any(covers)
    }

    /// Descriptions of the proofs that do not cover the body.
    pub fn sent_proofs(&self) -> Vec<String> {
        let proofs = &self.proofs;
        let tokens = proofs.tokens.iter().map(|bound| bound.token.in_words());
        let basic = proofs.basic.iter().map(|_| "HTTP basic authentication".to_owned());
        let jwts = proofs.jwts.iter().map(|(jwt, _)| format!("a JSON Web Token in {}", jwt.at));
        tokens.chain(basic).chain(jwts).collect()
    }
}
