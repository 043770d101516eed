//! Detects signed texts that match more than one request. If a signed text can be split in more
//! than one way, a captured signature is also valid for another request, e.g. one with another
//! body.

use crate::scheme::jwt::ClaimCheck;

use super::recipe::{KeySource, Proofs, Recipe, Signature};

impl Recipe {
    /// Describes each way in which a captured signature also matches another request. Each
    /// description continues a line that begins with the name of the source.
    pub fn ambiguities(&self) -> Vec<String> {
        self.proofs.ambiguities()
    }
}

impl Proofs {
    fn ambiguities(&self) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for (at, signature) in self.signatures.iter().enumerate() {
            let (scheme, place) = (&signature.scheme, &signature.scheme.at);
            found.extend(
                scheme.split.ambiguity().map(|problem| format!("the text signed in {place} {problem}")),
            );
            if scheme.algorithm.is_plain_digest() && scheme.template.can_be_extended() {
                found.push(format!(
                    "the digest in {place} can be extended without the secret, so anyone can append text to a captured body: use `{{body:structured}}`"
                ));
            }
            let is_taken = |other: &&Signature| {
                signs_alike(signature, other) && scheme.template.can_be_taken_for(&other.scheme.template)
            };
            if self.signatures[at + 1..].iter().any(|other| is_taken(&other)) {
                found.push(format!(
                    "the signature in {place} and another one use the same key, and the text of one can be mistaken for the text of \
                     the other: use `{{body:structured}}` in the shorter text"
                ));
            }
        }
        let claims = self.jwts.iter().flat_map(|rule| &rule.jwt.claims);
        let divided =
            claims.filter(|claim| matches!(&claim.must, ClaimCheck::Equal(text) if !text.has_one_part()));
        found.extend(divided.map(|claim| {
            format!("the expected value of the claim `{}` can be divided in more than one way", claim.name)
        }));
        found
    }
}

/// Whether both rules produce the same signature for the same text.
fn signs_alike(one: &Signature, other: &Signature) -> bool {
    let is_one_key = match (&one.key, &other.key) {
        (
            KeySource::Setting { setting, derivation },
            KeySource::Setting { setting: other_setting, derivation: other_derivation },
        ) => setting == other_setting && derivation == other_derivation,
        (KeySource::Setting { .. }, _) | (_, KeySource::Setting { .. }) => false,
        _ => true,
    };
    is_one_key && one.scheme.algorithm == other.scheme.algorithm
}
