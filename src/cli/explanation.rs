//! The text of `creel rejections show`.

use std::fmt::Write as _;

use super::output::{harmless_line, seconds};
use crate::api::types::explanation::{
    ComparedAddress, ForwardedRole, RejectionExplanation, SignedText, TrialVerdict,
};
use crate::api::types::words::Word;

/// Formats the explanation of a rejection.
pub fn explanation_text(explained: &RejectionExplanation) -> String {
    let mut text = String::new();
    line(&mut text, "rejection", &format!("#{} {}", explained.id, explained.cause));
    line(&mut text, "received", &seconds(&explained.received_at));
    line(&mut text, "source", &explained.source);
    for scheme in &explained.schemes {
        line(&mut text, "scheme", scheme);
    }
    if let Some(signed) = &explained.signed_text {
        add_signed_text(&mut text, signed);
    }
    let signatures =
        [("received", &explained.received_signature), ("computed", &explained.computed_signature)];
    let signatures =
        signatures.iter().filter_map(|(name, signature)| Some(format!("{name} {}…", (*signature).as_ref()?)));
    let signatures: Vec<String> = signatures.collect();
    if !signatures.is_empty() {
        line(&mut text, "signature", &signatures.join(", "));
    }
    if let Some(address) = &explained.address {
        add_address(&mut text, address);
    }
    add_trials(&mut text, explained);
    for omission in &explained.omissions {
        line(&mut text, "left out", omission);
    }
    if !explained.advice.is_empty() {
        text.push_str("\nWhat to do:\n");
    }
    for advice in &explained.advice {
        let _ = writeln!(text, "- {}", harmless_line(advice));
    }
    text
}

/// Adds a line that starts with a name; untrusted text cannot start another line.
fn line(text: &mut String, name: &str, value: &str) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{name:<12} {}", harmless_line(value));
}

fn add_signed_text(text: &mut String, signed: &SignedText) {
    line(
        text,
        "signed text",
        &format!("{} bytes (· space, ␊ line feed, ␍ carriage return, ␉ tab)", signed.bytes),
    );
    line(text, "", &signed.first);
    if let Some(last) = &signed.last {
        line(text, "", "…");
        line(text, "", last);
    }
}

fn add_address(text: &mut String, address: &ComparedAddress) {
    let verdict = if address.is_allowed { "allowed" } else { "not allowed" };
    line(text, "address", &format!("{}, {verdict} by {}", address.client, address.allowed.join(", ")));
    for hop in &address.hops {
        let role = match &hop.role {
            Word::Known(ForwardedRole::Unverified) => "unverified",
            Word::Known(ForwardedRole::Client) => "client",
            Word::Known(ForwardedRole::TrustedProxy) => "trusted proxy",
            Word::Unknown(other) => other,
        };
        line(text, "", &format!("X-Forwarded-For: {} ({role})", hop.address));
    }
}

/// Adds the changes that fit, and the number of the others.
fn add_trials(text: &mut String, explained: &RejectionExplanation) {
    let count = |wanted: TrialVerdict| {
        explained.trials.iter().filter(|trial| trial.result == Word::Known(wanted)).count()
    };
    let fits = explained.trials.iter().filter(|trial| trial.result == Word::Known(TrialVerdict::Fits));
    for trial in fits {
        line(text, "fits", &trial.title);
    }
    let others = [
        (TrialVerdict::Differs, "do not fit"),
        (TrialVerdict::Inapplicable, "do not apply"),
        (TrialVerdict::LeftOut, "left out"),
    ];
    let others = others.map(|(verdict, words)| (count(verdict), words));
    let others: Vec<String> = others
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{count} {words}"))
        .collect();
    if !others.is_empty() {
        line(text, "other trials", &others.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanation_is_shown_with_fits_and_advice() {
        let explained: RejectionExplanation = serde_json::from_value(serde_json::json!({
            "id": 17, "received_at": "2026-11-22T14:31:00.000000Z", "source": "github",
            "cause": "signature_mismatch", "verifies": false, "schemes": ["HMAC over `{body}`"],
            "signed_text": {"bytes": 3, "first": "{}␊\u{1b}", "last": null},
            "received_signature": "1f3a9c0b", "computed_signature": "77e0d41c",
            "trials": [
                {"name": "a", "title": "the body without", "result": "fits", "advice": "Do it."},
                {"name": "b", "title": "another", "result": "differs", "advice": null},
                {"name": "c", "title": "a newer one", "result": "uncertain", "advice": null},
            ],
            "address": {"client": "192.0.2.7", "is_allowed": false, "allowed": ["198.51.100.0/24"],
                "hops": [{"address": "x\ny", "role": "unverified"}, {"address": "192.0.2.7", "role": "client"}]},
            "advice": ["Do it."], "omissions": ["Something."],
        }))
        .expect("an explanation");
        let expected = "rejection    #17 signature_mismatch\n\
                        received     2026-11-22T14:31:00Z\n\
                        source       github\n\
                        scheme       HMAC over `{body}`\n\
                        signed text  3 bytes (· space, ␊ line feed, ␍ carriage return, ␉ tab)\n             \
                        {}␊\\u{1b}\n\
                        signature    received 1f3a9c0b…, computed 77e0d41c…\n\
                        address      192.0.2.7, not allowed by 198.51.100.0/24\n             \
                        X-Forwarded-For: x\\ny (unverified)\n             \
                        X-Forwarded-For: 192.0.2.7 (client)\n\
                        fits         the body without\n\
                        other trials 1 do not fit\n\
                        left out     Something.\n\
                        \nWhat to do:\n- Do it.\n";
        assert_eq!(explanation_text(&explained), expected);
    }
}
