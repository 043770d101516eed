//! Properties of the explanations of all providers.

use proptest::prelude::*;

use super::super::super::settings::SettingKind;
use super::super::properties::{OWN, flipped, signature_places};
use super::*;
use crate::scheme::place::Place;

/// Maximum characters of a computed signature that may be shown.
const MAX_CHARACTERS: usize = 8;

fn secrets_of(verifier: &Verifier) -> Vec<String> {
    let keys = verifier.recipe.keys.iter().filter(|key| key.kind == SettingKind::Secret);
    let values = keys.flat_map(|key| verifier.settings.all(&key.name));
    values.map(|value| String::from_utf8_lossy(value.expose()).into_owned()).collect()
}

#[track_caller]
fn assert_no_secret(diagnosis: &Diagnosis, verifier: &Verifier) {
    let text = format!("{diagnosis:?}");
    for secret in secrets_of(verifier) {
        assert!(!text.contains(&secret), "{}: {text}", verifier.recipe.name);
    }
}

#[test]
fn added_line_feed_is_explained_for_every_signed_body() {
    let mut explained = 0;
    for own in OWN.iter() {
        let verifier = &own.verifier;
        let Some(sample) = verifier.sample(&sample_options(None, "nonce")) else { continue };
        if verifier.confirm_api().is_some() {
            continue;
        }
        let mut sent = SentRequest::of(sample);
        sent.body.push(b'\n');
        let verdict = sent.verdict_in(verifier, &own.world);
        if verdict.is_ok() {
            // The scheme does not sign the exact body.
            continue;
        }
        let diagnosis = diagnosis_among(&sent, verifier, &own.world, &[]);
        assert_fits(&diagnosis, Trial::WithoutLineEnd, &own.provider);
        assert_no_secret(&diagnosis, verifier);
        explained += 1;
    }
    assert!(explained > 90, "{explained}");
}

#[test]
fn explanation_shows_neither_secret_nor_genuine_signature() {
    let mut computed = 0;
    for own in OWN.iter() {
        let mut sent = own.sent.clone();
        let mut genuine: Vec<String> = Vec::new();
        for (place, layout, encoding) in signature_places(own) {
            for (name, value) in &mut sent.headers {
                let is_there = match &place {
                    Place::Header(wanted) => name == wanted,
                    Place::Headers(beginning) => name.starts_with(beginning.as_str()),
                    _ => false,
                };
                let text = String::from_utf8_lossy(value).into_owned();
                let Some(changed) = flipped(&text, &layout, encoding, 500).filter(|_| is_there) else {
                    continue;
                };
                for group in layout.groups(text.as_bytes()) {
                    let Ok(candidates) = layout.candidates(group) else { continue };
                    let texts = candidates.as_slice().iter();
                    genuine.extend(texts.map(|text| String::from_utf8_lossy(text).into_owned()));
                }
                *value = changed.into_bytes();
            }
        }
        let diagnosis = diagnosis_among(&sent, &own.verifier, &own.world, &[]);
        assert_no_secret(&diagnosis, &own.verifier);
        computed += usize::from(diagnosis.computed_signature.is_some() && !genuine.is_empty());
        let text = format!("{diagnosis:?}");
        let long = genuine.iter().filter(|signature| signature.len() > 2 * MAX_CHARACTERS);
        for signature in long {
            let leaked = (0..signature.len() - MAX_CHARACTERS)
                .filter_map(|start| signature.get(start..=start + MAX_CHARACTERS))
                .find(|part| text.contains(part));
            assert_eq!(leaked, None, "{}: {text}", own.provider);
        }
        let shown = diagnosis.computed_signature.iter().chain(&diagnosis.received_signature);
        for signature in shown {
            assert!(signature.as_str().chars().count() <= MAX_CHARACTERS, "{}", own.provider);
        }
    }
    assert!(computed > 80, "{computed}");
}

#[test]
fn secret_in_signature_or_body_is_not_shown() {
    for provider in ["github", "shopify", "stripe", "slack", "standard-webhooks"] {
        let values = usable(provider);
        let verifier = bind(provider, &values);
        let secret = values[0].1;
        let mut sent = signed(&verifier, &format!("{{\"leak\":\"{secret}\"}}"));
        let mut changed = sent.clone();
        for (_, value) in &mut changed.headers {
            if value.len() > 30 {
                *value = secret.as_bytes().to_vec();
            }
        }
        assert_no_secret(&diagnosis(&changed, &verifier), &verifier);
        sent.body.push(b' ');
        let diagnosis = diagnosis(&sent, &verifier);
        assert_no_secret(&diagnosis, &verifier);
        let shown = diagnosis.signed_text.unwrap().first;
        assert!(shown.contains("[redacted]") && shown.ends_with('·'), "{shown}");
    }
}

#[test]
fn secret_without_its_prefix_is_not_shown() {
    let bare = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let verifier = bind("standard-webhooks", &[("secret", &format!("whsec_{bare}"))]);
    let mut sent = signed(&verifier, &format!("{{\"leak\":\"{bare}\"}}"));
    sent.body.push(b' ');
    let in_body = diagnosis(&sent, &verifier);
    assert!(!format!("{in_body:?}").contains(&bare[..8]), "{in_body:?}");
    assert!(in_body.signed_text.unwrap().first.contains("[redacted]"));
    let signatures = sent.headers.iter_mut().filter(|(_, value)| value.starts_with(b"v1,"));
    assert_eq!(signatures.map(|(_, value)| *value = format!("v1,{bare}").into_bytes()).count(), 1);
    let in_signature = diagnosis(&sent, &verifier);
    assert!(!format!("{in_signature:?}").contains(&bare[..8]), "{in_signature:?}");
    assert!(in_signature.advice.join(" ").contains("contains a configured secret"));
}

#[test]
fn text_in_place_of_the_signature_is_not_shown() {
    for configured in ["hunter22", "hunter2", "another-secret"] {
        let verifier = bind("github", &[("secret", configured)]);
        let sent = SentRequest::new(&[("x-hub-signature-256", "sha256=hunter22")], "{}");
        let found = diagnosis(&sent, &verifier);
        assert_eq!(found.received_signature, None, "{found:?}");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        let is_named = found.omissions.join(" ").contains("its 8 bytes");
        assert_eq!(is_named, configured != "hunter22", "{:?}", found.omissions);
    }
}

#[test]
fn long_sent_credential_is_not_shown() {
    let verifier = bind("github", &[("secret", "correct horse battery")]);
    let credential: String = (0..3_000).map(|number| format!("{number:04}")).collect();
    let mut sent = signed(&verifier, &format!("<{credential}>"));
    sent.body.push(b' ');
    sent.headers.push(("cookie".to_owned(), credential.into_bytes()));
    let shown = diagnosis(&sent, &verifier).signed_text.unwrap();
    let both = format!("{}{}", shown.first, shown.last.unwrap());
    assert!(
        both.starts_with("<[redacted]") && !both.contains(|character: char| character.is_ascii_digit()),
        "{both}"
    );
}

#[test]
fn no_body_panics_an_explanation() {
    let nested = "[".repeat(5_000);
    let bodies: [&[u8]; 5] = [
        b"",
        b"\xff\xfe{\0",
        nested.as_bytes(),
        b"%=&;bt_signature=|&bt_payload=%",
        b"{\"a\":\"\\ud83d\"}\r\n",
    ];
    for own in OWN.iter() {
        for body in bodies {
            let mut sent = own.sent.clone();
            sent.body = body.to_vec();
            sent.query.push_str("&%zz=%");
            sent.url = body.iter().map(|byte| char::from(*byte)).take(20).collect();
            for (_, value) in sent.headers.iter_mut().skip(1) {
                let count = value.len().min(1);
                value.rotate_left(count);
            }
            let diagnosis = diagnosis_among(&sent, &own.verifier, &own.world, &[]);
            assert_eq!(diagnosis.trials.len(), Trial::ALL.len());
            assert_no_secret(&diagnosis, &own.verifier);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn arbitrary_request_is_explained_without_panic(
        place in any::<prop::sample::Index>(),
        body in prop::collection::vec(any::<u8>(), 0..200),
        json in "[\\[\\]{}\",:\\\\ u0\u{e9}\r\n]{0,60}",
        is_json in any::<bool>(),
        value in "[ -~]{0,80}",
        url in "(https?://)?[a-z:@/?%&=]{0,30}",
    ) {
        let own = place.get(OWN.as_slice());
        let mut sent = own.sent.clone();
        sent.body = if is_json { json.into_bytes() } else { body };
        sent.url = url;
        let changed = place.index(sent.headers.len().max(1));
        if let Some((_, old)) = sent.headers.get_mut(changed) {
            *old = value.into_bytes();
        }
        let diagnosis = diagnosis_among(&sent, &own.verifier, &own.world, &[]);
        prop_assert_eq!(diagnosis.trials.len(), Trial::ALL.len());
        assert_no_secret(&diagnosis, &own.verifier);
    }
}

#[test]
fn limits_are_reported() {
    let verifier = bind("github", &[("secret", "correct horse battery")]);
    let sender = bind("github", &[("secret", "another secret of a sender")]);
    let large = signed(&sender, &format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20)));
    let found = diagnosis(&large, &verifier);
    assert!(found.omissions.join(" ").contains("not examined"), "{:?}", found.omissions);
    assert!(found.signed_text.is_none() && found.computed_signature.is_none());
    assert!(found.trials.iter().all(|row| row.outcome == TrialOutcome::LeftOut));
    let advice = found.advice.join(" ");
    assert!(advice.starts_with("Check that") && !advice.contains("fits"), "{advice}");
    // Many secrets of other sources use up the limit on hashed text.
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(1_000_000));
    let others: Vec<Verifier> =
        (0..300).map(|number| bind("github", &[("secret", &format!("other-secret-{number}"))])).collect();
    let others: Vec<OtherSource<'_>> =
        others.iter().map(|verifier| OtherSource { name: "other", verifier }).collect();
    let found = diagnosis_among(&signed(&sender, &body), &verifier, &EmptyKeyStore, &others);
    let omissions = found.omissions.join(" ");
    assert!(omissions.contains("32 MiB") && omissions.contains("44 secrets"), "{omissions}");
    assert!(found.trials.iter().any(|row| row.outcome == TrialOutcome::LeftOut));
    assert!(found.trials.iter().any(|row| row.outcome == TrialOutcome::Differs));
}
