//! Amazon SNS: named fields of the body, signed with the key of a certificate that the body names. Everybody's topics are
//! signed with the same keys, so the topic must be the configured one.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>

use serde::Deserialize;

use super::{Cause, Encoding, Terms, Unproven, View};
use crate::verify::outside::is_pinned;
use crate::verify::public_key::PublicAlgorithm;

const HOSTS: [&str; 2] = ["sns.*.amazonaws.com", "sns.*.amazonaws.com.cn"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    r#type: Option<String>,
    message_id: Option<String>,
    topic_arn: Option<String>,
    message: Option<String>,
    subject: Option<String>,
    timestamp: Option<String>,
    token: Option<String>,
    #[serde(rename = "SubscribeURL")]
    subscribe_url: Option<String>,
    signature: Option<String>,
    signature_version: Option<String>,
    #[serde(rename = "SigningCertURL", alias = "SigningCertUrl")]
    signing_cert_url: Option<String>,
}

/// A message with all that its check needs.
struct Signed {
    body: Body,
    text: String,
    algorithm: PublicAlgorithm,
    signature: Vec<u8>,
    url: String,
}

pub fn check(view: &View<'_>, terms: &Terms<'_>) -> Result<(), Unproven> {
    let Signed { body, text, algorithm, signature, url } = read(view)?;
    let key = terms.outside.certified_key(&url, is_sns, view)?;
    if !key.verify(algorithm, text.as_bytes(), &signature) {
        return Err(Cause::SignatureMismatch.into());
    }
    let topic = body.topic_arn.as_deref().unwrap_or_default();
    let is_ours =
        terms.texts.all("topic_arn").iter().any(|configured| configured.expose() == topic.as_bytes());
    if is_ours { Ok(()) } else { Err(Cause::WrongAccount.into()) }
}

pub fn is_carried(view: &View<'_>) -> bool {
    read(view).is_ok_and(|signed| is_pinned(&signed.url, is_sns))
}

fn is_sns(host: &str) -> bool {
    HOSTS.iter().any(|pattern| super::super::handshake::host_matches(pattern, host))
}

fn read(view: &View<'_>) -> Result<Signed, Cause> {
    let body: Body = serde_json::from_slice(view.json()).map_err(|_| Cause::MissingHeader)?;
    let signature = body.signature.as_deref().filter(|text| !text.is_empty()).ok_or(Cause::MissingHeader)?;
    let signature = Encoding::Base64.decode_any(signature.as_bytes()).ok_or(Cause::MalformedSignature)?;
    let algorithm = match body.signature_version.as_deref() {
        Some("1") => PublicAlgorithm::RsaSha1,
        Some("2") => PublicAlgorithm::RsaSha256,
        _ => return Err(Cause::UnknownAlgorithm),
    };
    let text = text(&body)?;
    let url = body.signing_cert_url.clone().ok_or(Cause::MissingHeader)?;
    let is_certificate = url::Url::parse(&url).is_ok_and(|url| url.path().ends_with(".pem"));
    if !is_certificate {
        return Err(Cause::CertificateNotTrusted);
    }
    Ok(Signed { body, text, algorithm, signature, url })
}

/// `Name\nValue\n` for each field, in alphabetical order.
fn text(body: &Body) -> Result<String, Cause> {
    let kind = body.r#type.as_deref().ok_or(Cause::MissingHeader)?;
    let is_confirmation = match kind {
        "Notification" => false,
        "SubscriptionConfirmation" | "UnsubscribeConfirmation" => true,
        _ => return Err(Cause::MalformedSignature),
    };
    let required = |field: &Option<String>| field.clone().ok_or(Cause::MissingHeader);
    let mut fields = vec![("Message", required(&body.message)?), ("MessageId", required(&body.message_id)?)];
    if is_confirmation {
        fields.push(("SubscribeURL", required(&body.subscribe_url)?));
    } else if let Some(subject) = &body.subject {
        fields.push(("Subject", subject.clone()));
    }
    fields.push(("Timestamp", required(&body.timestamp)?));
    if is_confirmation {
        fields.push(("Token", required(&body.token)?));
    }
    fields.push(("TopicArn", required(&body.topic_arn)?));
    fields.push(("Type", kind.to_owned()));
    Ok(fields.iter().map(|(name, value)| format!("{name}\n{value}\n")).collect())
}
