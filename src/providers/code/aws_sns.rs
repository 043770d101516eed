//! Amazon SNS: named fields of the body, signed with the key of a certificate that the body names.
//! AWS signs the topics of all customers with the same keys, so the topic must be the configured
//! one. <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>

use std::borrow::Cow;

use super::scheme::{Scheme, SchemeKeys};
use crate::content::request::Cause;
use crate::content::view::View;
use crate::json::{Object, document, text_lossy};
use crate::scheme::encoding::Encoding;
use crate::scheme::key_store::VerifyError;
use crate::scheme::key_store::is_pinned;
use crate::scheme::public_key::PublicAlgorithm;
use crate::scheme::signature::Terms;

/// Maximum size of a parsed body. SNS accepts messages of 256 KiB, and JSON escapes expand a byte
/// to at most six. Larger bodies come from other senders.
const MAX_BODY_BYTES: usize = 8 << 20;
const HOSTS: [&str; 2] = ["sns.*.amazonaws.com", "sns.*.amazonaws.com.cn"];

/// The parts of a message that verification needs.
struct SnsMessage {
    topic: String,
    text: String,
    algorithm: PublicAlgorithm,
    signature: Vec<u8>,
    url: String,
}

/// Amazon SNS, with a certificate that the body names.
#[derive(Debug)]
pub struct AwsSns;

impl Scheme for AwsSns {
    fn name(&self) -> &'static str {
        "aws-sns"
    }

    fn in_words(&self) -> &'static str {
        "RSA with SHA-1 or SHA-256 (SignatureVersion 1 or 2) over named fields of the body, in its field Signature; creel fetches the certificate from `sns.<region>.amazonaws.com`"
    }

    fn secret_settings(&self) -> &'static [&'static str] {
        &[]
    }

    fn rewrites_body(&self) -> bool {
        true
    }

    fn has_proof_in_body(&self) -> bool {
        true
    }

    fn check(&self, view: &View<'_>, terms: &Terms<'_>, _keys: &SchemeKeys) -> Result<(), VerifyError> {
        let SnsMessage { topic, text, algorithm, signature, url } = read(view)?;
        let key = terms.key_store.certified_key(&url, is_sns, view)?;
        if !key.verify(algorithm, text.as_bytes(), &signature) {
            return Err(Cause::SignatureMismatch.into());
        }
        let is_own_topic =
            terms.texts.all("topic_arn").iter().any(|configured| configured.expose() == topic.as_bytes());
        if is_own_topic { Ok(()) } else { Err(Cause::WrongAccount.into()) }
    }

    fn is_carried(&self, view: &View<'_>, _terms: &Terms<'_>) -> bool {
        read(view).is_ok_and(|signed| is_pinned(&signed.url, is_sns))
    }
}

fn is_sns(host: &str) -> bool {
    HOSTS.iter().any(|pattern| crate::scheme::shape::host_matches(pattern, host))
}

fn read(view: &View<'_>) -> Result<SnsMessage, Cause> {
    let body = view.json()?;
    if body.len() > MAX_BODY_BYTES {
        return Err(Cause::TooLarge);
    }
    let body = document(body).ok().and_then(Object::read).ok_or(Cause::MissingHeader)?;
    let signature = body.text("Signature").filter(|text| !text.is_empty()).ok_or(Cause::MissingHeader)?;
    let signature = Encoding::Base64.decode_any(signature.as_bytes()).ok_or(Cause::MalformedSignature)?;
    let algorithm = match body.text("SignatureVersion").as_deref() {
        Some("1") => PublicAlgorithm::RsaSha1,
        Some("2") => PublicAlgorithm::RsaSha256,
        _ => return Err(Cause::UnknownAlgorithm),
    };
    let text = text(&body)?;
    let url = body.text("SigningCertURL").or_else(|| body.text("SigningCertUrl"));
    let url = url.ok_or(Cause::MissingHeader)?.into_owned();
    let is_certificate = url::Url::parse(&url).is_ok_and(|url| url.path().ends_with(".pem"));
    if !is_certificate {
        return Err(Cause::CertificateNotTrusted);
    }
    let topic = required(&body, "TopicArn")?.into_owned();
    Ok(SnsMessage { topic, text, algorithm, signature, url })
}

/// Returns `Name\nValue\n` for each field, in alphabetical order. Line breaks are accepted only in
/// `Message`: in another field, they would let the same text be split into other fields.
fn text(body: &Object<'_>) -> Result<String, Cause> {
    let kind = required(body, "Type")?;
    let is_confirmation = match &*kind {
        "Notification" => false,
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => true,
        _ => return Err(Cause::MalformedSignature),
    };
    let mut fields =
        vec![("Message", required(body, "Message")?), ("MessageId", required(body, "MessageId")?)];
    if is_confirmation {
        fields.push(("SubscribeURL", required(body, "SubscribeURL")?));
    } else if let Some(subject) = body.get("Subject").filter(|raw| *raw != "null") {
        fields.push(("Subject", text_lossy(subject)));
    }
    fields.push(("Timestamp", required(body, "Timestamp")?));
    if is_confirmation {
        fields.push(("Token", required(body, "Token")?));
    }
    fields.push(("TopicArn", required(body, "TopicArn")?));
    fields.push(("Type", kind));
    if fields.iter().any(|(name, value)| *name != "Message" && value.contains('\n')) {
        return Err(Cause::MalformedSignature);
    }
    Ok(fields.iter().map(|(name, value)| format!("{name}\n{value}\n")).collect())
}

/// Returns a required string. AWS signs UTF-8, in which lone surrogates cannot occur, so they
/// become U+FFFD.
fn required<'a>(body: &Object<'a>, name: &str) -> Result<Cow<'a, str>, Cause> {
    body.get(name).filter(|raw| raw.starts_with('"')).map(text_lossy).ok_or(Cause::MissingHeader)
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::content::request::{Headers, Request};

    fn request(body: &[u8]) -> Request<'_> {
        Request {
            method: "POST",
            target: "/",
            query: "",
            url: "",
            headers: Headers(&[]),
            body,
            now: OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn body_above_sns_limit_is_not_parsed() {
        let large = format!("{{\"Type\":\"{}\"}}", "x".repeat(MAX_BODY_BYTES));
        let members: Vec<String> = (0..20_000).map(|number| format!("\"{number}\":1")).collect();
        let many = format!("{{\"Signature\":\"aGVsbG8=\",{}}}", members.join(","));
        for (body, cause) in [(large, Cause::TooLarge), (many, Cause::MissingHeader)] {
            assert_eq!(read(&View::new(&request(body.as_bytes()), None)).err(), Some(cause));
        }
    }

    #[test]
    fn unusual_members_do_not_hide_fields() {
        let body = "\u{feff}{\"Type\":\"Notification\",\"odd\":\"\\ud83d\",\"far\":1e400,\"Message\":\"cut \\ud83d\",\"MessageId\":\"1\",
            \"Subject\":null,\"Timestamp\":\"t\",\"TopicArn\":\"arn\",\"Signature\":\"aGVsbG8=\",\"SignatureVersion\":\"2\",
            \"SigningCertURL\":\"https://sns.eu-west-1.amazonaws.com/a.pem\"}";
        let signed = read(&View::new(&request(body.as_bytes()), None)).unwrap();
        assert_eq!(signed.topic, "arn");
        let text = "Message\ncut \u{fffd}\nMessageId\n1\nTimestamp\nt\nTopicArn\narn\nType\nNotification\n";
        assert_eq!(signed.text, text);
    }
}
