//! The rules of a recipe: how a request is verified, which requests are handshakes, and how the
//! provider's API is called.

use crate::json::Slot;
use crate::scheme::auth_scheme::AuthScheme;
use crate::scheme::condition::RequestCondition;
use crate::scheme::encoding::Encoding;
use crate::scheme::expectation::Expectation;
use crate::scheme::jwt::Jwt;
use crate::scheme::key::{Algorithm, Derivation};
use crate::scheme::place::Place;
use crate::scheme::signature::SignatureScheme;
use crate::scheme::template::Template;

use super::super::code::Scheme;
use super::super::fetch::FetchRule;
use crate::scheme::shape::ChallengeShape;

/// The ways to verify the sender. One configured way is enough, but with a key for signatures, the
/// source accepts no token or password instead (`verifier/bound.rs`).
#[derive(Debug, Default)]
pub struct Proofs {
    pub tokens: Vec<TokenRule>,
    pub basic: bool,
    /// Signatures in order of preference.
    pub signatures: Vec<Signature>,
    pub jwts: Vec<JwtRule>,
    pub code: Option<&'static dyn Scheme>,
    pub confirm: Option<ConfirmRule>,
}

/// A shared token.
#[derive(Debug)]
pub struct TokenRule {
    pub at: NamedPlace,
    pub scheme: AuthScheme,
    /// The setting with the token.
    pub key: String,
    pub optional: bool,
}

/// A place, or a header that a setting names.
#[derive(Clone, Debug)]
pub enum NamedPlace {
    Place(Place),
    HeaderOf { setting: String },
}

/// A signature scheme and the origin of its key.
#[derive(Debug)]
pub struct Signature {
    pub scheme: SignatureScheme,
    pub key: KeySource,
    /// The switch that enables a scheme that is off by default.
    pub enabled_by: Option<String>,
}

impl Signature {
    /// Whether a setting holds the key, and the key also signs.
    pub fn has_shared_key(&self) -> bool {
        self.key.setting().is_some() && self.scheme.algorithm.public().is_none()
    }
}

#[derive(Debug)]
pub enum KeySource {
    Setting { setting: String, derivation: Derivation },
    ById(NamedPlace),
    AnyPublished,
    Certificate { url: Place, hosts: Vec<String> },
}

impl KeySource {
    pub fn setting(&self) -> Option<&str> {
        match self {
            Self::Setting { setting, .. } => Some(setting),
            _ => None,
        }
    }

    /// Whether the provider publishes the key, by id or in a key set.
    pub const fn is_published(&self) -> bool {
        matches!(self, Self::ById(_) | Self::AnyPublished)
    }
}

#[derive(Debug)]
pub struct JwtRule {
    pub jwt: Jwt,
    pub key: KeySource,
}

impl JwtRule {
    /// Whether a setting holds the key, and the key also signs.
    pub fn has_shared_key(&self) -> bool {
        self.key.setting().is_some()
            && self.jwt.algorithms.iter().any(|algorithm| algorithm.public().is_none())
    }
}

/// A request that is not a message and needs an answer.
#[derive(Debug)]
pub struct HandshakeRule {
    pub method: String,
    pub when: Vec<RequestCondition>,
    pub check: Vec<RequestCondition>,
    /// Whether it is answered only after its signature is verified.
    pub signed: bool,
    pub answer: Option<AnswerRule>,
    /// The value that creel signs for the sender. Its required shape excludes a webhook's body.
    pub challenge: Option<Place>,
    pub challenge_shape: ChallengeShape,
    pub reply: HandshakeReply,
    pub learn: Option<Place>,
    pub visit: Option<Place>,
    pub visit_hosts: Vec<String>,
}

impl HandshakeRule {
    pub fn is_known_by_body(&self) -> bool {
        self.when.iter().any(|condition| condition.place().is_in_body())
    }

    /// Returns the settings that the conditions and the reply use.
    pub fn settings(&self) -> Vec<&str> {
        let conditions = self.when.iter().chain(&self.check).filter_map(RequestCondition::setting);
        let answer = self.answer.iter().flat_map(|answer| answer.text.settings());
        let key = self.answer.iter().filter_map(|answer| Some(answer.key.as_ref()?.0.as_str()));
        let body = match &self.reply.body {
            HandshakeBody::Empty => None,
            HandshakeBody::Text(template) | HandshakeBody::Json(template) => Some(template),
        };
        let headers = self.reply.headers.iter().map(|(_, template)| template);
        let reply = body.into_iter().chain(headers).flat_map(Template::settings);
        conditions.chain(answer).chain(key).chain(reply).collect()
    }

    /// Whether an unauthenticated request receives a signature made with a key of the source.
    pub fn signs_unauthenticated(&self) -> bool {
        !self.signed && self.answer.as_ref().is_some_and(|answer| answer.key.is_some())
    }
}

#[derive(Debug)]
pub struct AnswerRule {
    pub algorithm: Algorithm,
    pub encoding: Encoding,
    pub text: Template,
    pub key: Option<(String, Derivation)>,
}

#[derive(Debug)]
pub struct HandshakeReply {
    pub status: u16,
    pub body: HandshakeBody,
    pub headers: Vec<(String, Template)>,
}

#[derive(Debug)]
pub enum HandshakeBody {
    Empty,
    Text(Template),
    Json(Template),
}

/// The place of a detail of a message.
#[derive(Debug)]
pub enum Detail {
    /// The name in lower case.
    Header(String),
    Query(String),
    /// A value in the JSON body, or in the form as JSON.
    Json(Slot),
}

/// The body of a sample request for one event.
#[derive(Debug)]
pub struct SampleBody {
    pub event: String,
    /// Whether the body is generated because the recipe has no sample. Its event is not the
    /// provider's.
    pub is_generated: bool,
    pub id: String,
    pub body: String,
    pub content_type: String,
    pub query: String,
    /// Names, and templates of the values with the same placeholders as the body.
    pub headers: Vec<(String, String)>,
    /// The place of its signature; `None` for the first signature that can be made.
    pub signed_at: Option<Place>,
}

impl SampleBody {
    /// Returns a delivery id that depends on the nonce. `$uuid` becomes a UUID.
    pub fn id_with(&self, nonce: &str) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, nonce.as_bytes());
        let hex = Encoding::Hex.encode(digest.as_ref());
        let uuid =
            format!("{}-{}-7{}-8{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30]);
        self.id.replace("$nonce", nonce).replace("$uuid", &uuid)
    }
}

/// The call of a provider's API.
#[derive(Debug)]
pub struct ConfirmRule {
    pub method: String,
    pub url: Template,
    /// Templates without values from the request. A header whose setting is missing is omitted.
    pub headers: Vec<(String, Template)>,
    /// Template of a JSON document.
    pub body: Option<Template>,
    pub expect: Expectation,
    /// Answers that definitely mean "does not exist".
    pub unknown: Vec<Expectation>,
    /// A request made first, whose result becomes `{login}`.
    pub login: Option<FetchRule>,
    /// The value that must have the shape of an id, not of a path.
    pub shape_of: Place,
}

impl Proofs {
    /// The settings that hold keys of signatures, JWTs and code.
    pub fn signing_settings(&self) -> Vec<&str> {
        let of_signatures = self.signatures.iter().map(|rule| &rule.key);
        let keys = of_signatures.chain(self.jwts.iter().map(|rule| &rule.key));
        let of_code = self.code.into_iter().flat_map(|code| code.secret_settings().iter().copied());
        let mut settings: Vec<&str> = keys.filter_map(KeySource::setting).chain(of_code).collect();
        settings.sort_unstable();
        settings.dedup();
        settings
    }

    /// Returns the settings with keys that also sign.
    pub fn shared_key_settings(&self) -> Vec<&str> {
        let signatures = self.signatures.iter().filter(|rule| rule.has_shared_key()).map(|rule| &rule.key);
        let jwts = self.jwts.iter().filter(|rule| rule.has_shared_key()).map(|rule| &rule.key);
        let mut settings: Vec<&str> = signatures.chain(jwts).filter_map(KeySource::setting).collect();
        settings.sort_unstable();
        settings.dedup();
        settings
    }

    /// Whether the key of some signature or JWT only verifies.
    pub fn has_public_key(&self) -> bool {
        self.signatures.iter().any(|rule| !rule.has_shared_key())
            || self.jwts.iter().any(|rule| !rule.has_shared_key())
    }

    pub fn are_none(&self) -> bool {
        self.tokens.is_empty()
            && !self.basic
            && self.signatures.is_empty()
            && self.jwts.is_empty()
            && self.code.is_none()
            && self.confirm.is_none()
    }

    pub fn signs_url(&self) -> bool {
        use crate::scheme::jwt::ClaimCheck;
        let claims_url = |rule: &JwtRule| {
            rule.jwt
                .claims
                .iter()
                .any(|claim| matches!(&claim.must, ClaimCheck::Equal(text) if text.has_url()))
        };
        self.signatures.iter().any(|signature| signature.scheme.template.has_url())
            || self.jwts.iter().any(claims_url)
            || self.code.is_some_and(|code| code.signs_url())
    }
}
