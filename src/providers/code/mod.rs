//! Canonical forms that data cannot say, one file for each provider. Behind the same interface as recipes: a request,
//! keys and the time go in, a verdict comes out. No I/O.

mod adyen;
mod aws_sns;
mod braintree;
mod contentful;
mod ebay;
mod google_health;
mod mailchannels;
mod payfast;
mod plivo;
mod truelayer;
mod twilio;

use std::borrow::Cow;

use ring::hmac;
use subtle::ConstantTimeEq;

use crate::verify::encoding::{Encoding, KeyEncoding};
use crate::verify::layout::MAX_CANDIDATES;
use crate::verify::outside::Unproven;
use crate::verify::request::{Cause, Secret};
use crate::verify::signature::Terms;
use crate::verify::view::{Texts, View};

use super::sample::Draft;
use super::settings::{SettingError, Settings};

/// A provider whose scheme is code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Adyen,
    AwsSns,
    Braintree,
    Contentful,
    Ebay,
    GoogleHealth,
    Mailchannels,
    Payfast,
    PlivoV3,
    Truelayer,
    Twilio,
}

const NAMES: [(&str, Code); 11] = [
    ("adyen", Code::Adyen),
    ("aws-sns", Code::AwsSns),
    ("braintree", Code::Braintree),
    ("contentful", Code::Contentful),
    ("ebay", Code::Ebay),
    ("google-health", Code::GoogleHealth),
    ("mailchannels", Code::Mailchannels),
    ("payfast", Code::Payfast),
    ("plivo-v3", Code::PlivoV3),
    ("truelayer", Code::Truelayer),
    ("twilio", Code::Twilio),
];

impl Code {
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, code)| *code)
    }

    pub fn names() -> Vec<&'static str> {
        NAMES.iter().map(|(name, _)| *name).collect()
    }

    /// The settings that hold shared secrets, of which one is enough; none where keys are public.
    pub const fn secret_settings(self) -> &'static [&'static str] {
        match self {
            Self::Twilio => &["secret", SHARED_KEY],
            _ if self.is_public() => &[],
            _ => &["secret"],
        }
    }

    const fn is_public(self) -> bool {
        matches!(self, Self::AwsSns | Self::Ebay | Self::Mailchannels | Self::Truelayer)
    }

    pub const fn has_secret(self) -> bool {
        !self.is_public()
    }

    /// Whether it accepts nothing that has the shape of a challenge: a handshake may then sign one for whoever asks.
    pub const fn refuses_challenges(self) -> bool {
        matches!(self, Self::Braintree)
    }

    /// Whether it takes the body apart, which takes memory.
    pub const fn rewrites_body(self) -> bool {
        matches!(
            self,
            Self::Adyen | Self::AwsSns | Self::Braintree | Self::Payfast | Self::PlivoV3 | Self::Twilio
        )
    }

    pub const fn uses_published_keys(self) -> bool {
        matches!(self, Self::Ebay | Self::GoogleHealth | Self::Mailchannels | Self::Truelayer)
    }

    pub const fn signs_url(self) -> bool {
        matches!(self, Self::Twilio | Self::PlivoV3 | Self::Contentful | Self::Truelayer)
    }

    /// What is signed, for people.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Adyen => {
                "HMAC-SHA256 over eight fields of each item joined by `:`, in additionalData.hmacSignature of the item as base64; the key is hex"
            }
            Self::AwsSns => {
                "RSA with SHA-1 or SHA-256 (SignatureVersion 1 or 2) over named fields of the body, in its field Signature; the certificate is fetched from sns.<region>.amazonaws.com"
            }
            Self::Braintree => {
                "HMAC-SHA1 over the form field bt_payload, in bt_signature beside the public key; the key is the SHA-1 of the private key"
            }
            Self::Contentful => {
                "HMAC-SHA256 over method, path, the headers that the request lists, and the body, in header x-contentful-signature as hex"
            }
            Self::Ebay => {
                "ECDSA P-256 with SHA-1 over the body, in header X-EBAY-SIGNATURE as base64 of JSON that names the key"
            }
            Self::GoogleHealth => {
                "ECDSA P-256 with SHA-256 over the body, in header X-HEALTHAPI-SIGNATURE as base64 after five bytes that name the key; and the secret in header Authorization"
            }
            Self::Mailchannels => {
                "an HTTP message signature (RFC 9421, Ed25519) over the Content-Digest of the body, in headers Signature and Signature-Input"
            }
            Self::Payfast => {
                "MD5 over the form fields in the order received and the passphrase, in the form field signature"
            }
            Self::PlivoV3 => {
                "HMAC-SHA256 over the URL with sorted query, the sorted form and a nonce, in header X-Plivo-Signature-V3 as base64"
            }
            Self::Truelayer => {
                "a detached JWS (ES512) over method, path, the headers that it lists, and the body, in header Tl-Signature"
            }
            Self::Twilio => {
                "HMAC-SHA1 with the auth token, or HMAC-SHA256 or HMAC-SHA1 with a shared key where header X-Twilio-Webhooks-Signature-Settings names one, over the URL and the sorted form, or the URL with bodySHA256 for JSON, in header X-Twilio-Signature as base64"
            }
        }
    }
}

/// A scheme with the keys of one source.
#[derive(Debug)]
pub struct BoundCode {
    code: Code,
    secrets: Vec<Secret>,
    /// Twilio's second kind of keys.
    shared_keys: Vec<Secret>,
}

/// The setting of Twilio's shared keys.
const SHARED_KEY: &str = "shared_key";

impl BoundCode {
    /// `None` where the source has no secret for it.
    ///
    /// # Errors
    /// A secret that cannot be one.
    pub(super) fn bind(code: Code, settings: &Settings) -> Result<Option<Self>, SettingError> {
        if code.is_public() {
            return Ok(Some(Self { code, secrets: Vec::new(), shared_keys: Vec::new() }));
        }
        let prepare = |value: &Secret| {
            let text = match code {
                // Payfast leaves out the blanks around it.
                Code::Payfast => value.expose().trim_ascii(),
                _ => value.expose(),
            };
            if text.is_empty() {
                return Err("is empty; anybody can sign with an empty key");
            }
            match code {
                Code::Adyen => KeyEncoding::Hex.decode(text),
                Code::Braintree => Ok(braintree::key(text)),
                _ => Ok(text.to_vec()),
            }
        };
        let all = |setting: &str| -> Result<Vec<Secret>, SettingError> {
            SettingError::collect(setting, settings.all(setting), |value| prepare(value).map(Secret::new))
        };
        let (secrets, shared_keys) = (all("secret")?, all(SHARED_KEY)?);
        let is_none = secrets.is_empty() && shared_keys.is_empty();
        Ok((!is_none).then_some(Self { code, secrets, shared_keys }))
    }

    pub const fn rewrites_body(&self) -> bool {
        self.code.rewrites_body()
    }

    /// # Errors
    /// The cause of refusal, or what must be fetched.
    pub fn check(&self, view: &View<'_>, terms: &Terms<'_>) -> Result<(), Unproven> {
        let secrets = self.secrets.as_slice();
        match self.code {
            Code::Adyen => Ok(adyen::check(view, secrets)?),
            Code::AwsSns => aws_sns::check(view, terms),
            Code::Braintree => Ok(braintree::check(view, secrets, terms.texts)?),
            Code::Contentful => Ok(contentful::check(view, secrets, terms.tolerance)?),
            Code::Ebay => ebay::check(view, terms.outside),
            Code::GoogleHealth => google_health::check(view, secrets, terms.outside),
            Code::Mailchannels => mailchannels::check(view, terms),
            Code::Payfast => Ok(payfast::check(view, secrets)?),
            Code::PlivoV3 => Ok(plivo::check(view, secrets)?),
            Code::Truelayer => truelayer::check(view, terms),
            Code::Twilio => Ok(twilio::check(view, secrets, &self.shared_keys)?),
        }
    }

    /// Whether the request carries what the scheme demands, whoever owns the key.
    pub fn is_carried(&self, view: &View<'_>, terms: &Terms<'_>) -> bool {
        match self.code {
            Code::Adyen => adyen::is_carried(view),
            Code::AwsSns => aws_sns::is_carried(view),
            Code::Braintree => braintree::is_carried(view),
            Code::Contentful => contentful::is_carried(view, terms.tolerance),
            Code::Ebay => ebay::is_carried(view),
            Code::GoogleHealth => google_health::is_carried(view),
            Code::Mailchannels => mailchannels::is_carried(view, terms.tolerance),
            Code::Payfast => payfast::is_carried(view),
            Code::PlivoV3 => plivo::is_carried(view),
            Code::Truelayer => truelayer::is_carried(view),
            Code::Twilio => twilio::is_carried(view),
        }
    }

    /// Whether something that `is_carried` asks for is in the body.
    pub const fn has_proof_in_body(&self) -> bool {
        use Code::{Adyen, AwsSns, Braintree, Mailchannels, Payfast, PlivoV3};
        matches!(self.code, Adyen | AwsSns | Braintree | Mailchannels | Payfast | PlivoV3)
    }

    /// Signs a sample; `None` where the key is the provider's alone.
    pub(super) fn sign(&self, draft: &mut Draft, texts: &Texts) -> Option<()> {
        if self.code == Code::Twilio {
            return twilio::sign(draft, self.secrets.first(), self.shared_keys.first());
        }
        let secret = self.secrets.first()?;
        match self.code {
            Code::Adyen => adyen::sign(draft, secret),
            Code::Braintree => braintree::sign(draft, secret, texts),
            Code::Contentful => contentful::sign(draft, secret),
            Code::Payfast => payfast::sign(draft, secret),
            Code::PlivoV3 => plivo::sign(draft, secret),
            Code::AwsSns
            | Code::Ebay
            | Code::GoogleHealth
            | Code::Mailchannels
            | Code::Truelayer
            | Code::Twilio => None,
        }
    }
}

/// Whether one of the encoded signatures is that of one of the secrets over the text.
fn any_hmac(
    algorithm: hmac::Algorithm,
    secrets: &[Secret],
    text: &[u8],
    encoding: Encoding,
    signatures: &[&[u8]],
) -> Result<(), Cause> {
    let length = algorithm.digest_algorithm().output_len();
    let decoded: Vec<_> =
        signatures.iter().filter_map(|signature| encoding.decode(signature, length)).collect();
    if decoded.is_empty() {
        return Err(Cause::MalformedSignature);
    }
    let is_right = |secret: &Secret| {
        let tag = hmac::sign(&hmac::Key::new(algorithm, secret.expose()), text);
        decoded.iter().any(|signature| tag.as_ref().ct_eq(&signature[..length]).into())
    };
    if secrets.iter().any(is_right) { Ok(()) } else { Err(Cause::SignatureMismatch) }
}

/// Whether a text is a signature of that algorithm in that encoding.
fn is_hmac(algorithm: hmac::Algorithm, encoding: Encoding, signature: &[u8]) -> bool {
    encoding.decode(signature, algorithm.digest_algorithm().output_len()).is_some()
}

/// The only value of a header that must be there.
fn header<'a>(view: &View<'a>, name: &str) -> Result<&'a [u8], Cause> {
    view.request.headers.single(name)?.ok_or(Cause::MissingHeader)
}

/// The lines of a header that is a list, joined as a proxy would join them (RFC 9110, 5.3).
fn header_list<'a>(view: &View<'a>, name: &str) -> Result<Cow<'a, [u8]>, Cause> {
    let lines = view.request.headers.0.iter().filter(|(field, _)| *field == name);
    let lines = lines.map(|(_, value)| value.trim_ascii()).filter(|value| !value.is_empty());
    let lines: Vec<&[u8]> = lines.take(MAX_CANDIDATES + 1).collect();
    match lines.as_slice() {
        [] => Err(Cause::MissingHeader),
        [one] => Ok(Cow::Borrowed(one)),
        several if several.len() > MAX_CANDIDATES => Err(Cause::MalformedSignature),
        several => Ok(Cow::Owned(several.join(&b", "[..]))),
    }
}

/// The only value of a header that must be there, as text.
fn header_text<'a>(view: &View<'a>, name: &str) -> Result<&'a str, Cause> {
    std::str::from_utf8(header(view, name)?).map_err(|_| Cause::MalformedSignature)
}

fn hmac_text(algorithm: hmac::Algorithm, secret: &Secret, text: &[u8], encoding: Encoding) -> String {
    encoding.encode(hmac::sign(&hmac::Key::new(algorithm, secret.expose()), text).as_ref())
}
