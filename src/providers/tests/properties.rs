//! What must hold for every provider and any input.

use proptest::prelude::*;

use super::*;

const SIGNED: [&str; 4] = ["github", "standard-webhooks", "stripe", "typeform"];
const STAMPED: [&str; 2] = ["standard-webhooks", "stripe"];

fn provider() -> impl Strategy<Value = &'static str> {
    prop::sample::select(recipes().iter().map(Recipe::name).collect::<Vec<_>>())
}

/// The header that carries the signature itself.
fn signature_header(sent: &Sent) -> usize {
    sent.headers.iter().position(|(name, _)| name.contains("signature")).unwrap()
}

proptest! {
    #[test]
    fn a_sample_is_accepted_whatever_its_event(provider in provider(), event in "[^\\x00-\\x20\\x7f]{1,20}", nonce in "[a-z0-9]{1,32}") {
        let verifier = bind(provider, &usable(provider));
        let sample = verifier.sample(Some(&event), now(), &nonce).unwrap();
        let headers: Vec<(&str, &str)> = sample.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        prop_assert!(verifier.read_json(sample.body.as_bytes()).is_some());
        prop_assert_eq!(Sent::new(&headers, &sample.body).verdict(&verifier), Ok(()));
    }

    #[test]
    fn a_flipped_bit_of_the_body_is_refused(provider in prop::sample::select(&SIGNED[..]), place in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let verifier = bind(provider, &usable(provider));
        let mut sent = Sent::sample(&verifier, None);
        let place = place.index(sent.body.len());
        sent.body[place] ^= 1_u8 << bit;
        prop_assert_eq!(sent.verdict(&verifier), Err(Cause::SignatureMismatch));
    }

    #[test]
    fn a_flipped_bit_of_the_signature_is_refused(provider in prop::sample::select(&SIGNED[..]), place in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let verifier = bind(provider, &usable(provider));
        let mut sent = Sent::sample(&verifier, None);
        let header = signature_header(&sent);
        let value = &mut sent.headers[header].1;
        let digits = value.iter().rposition(|byte| *byte == b'=').unwrap() + 1;
        let place = place.index(value.len());
        value[place] ^= 1_u8 << bit;
        // The case of a hex digit is one bit, and may be either.
        let is_hex = ["github", "stripe"].contains(&provider);
        let harmless = is_hex && place >= digits && bit == 5 && value[place].is_ascii_hexdigit();
        prop_assert_eq!(sent.verdict(&verifier).is_ok(), harmless);
    }

    #[test]
    fn another_secret_is_refused(provider in prop::sample::select(&SIGNED[..]), secret in "[A-Za-z]{4,40}") {
        let sent = Sent::sample(&bind(provider, &usable(provider)), None);
        let whole = &secret[..secret.len() / 4 * 4];
        prop_assert_eq!(sent.verdict(&bind(provider, &[("secret", whole)])), Err(Cause::SignatureMismatch));
    }

    #[test]
    fn a_stale_sample_is_refused(provider in prop::sample::select(&STAMPED[..]), seconds in 0_i64..100_000, ahead in any::<bool>()) {
        let verifier = bind(provider, &usable(provider));
        let mut sent = Sent::sample(&verifier, None);
        sent.now += time::Duration::seconds(if ahead { -seconds } else { seconds });
        let expected = if seconds <= 300 { Ok(()) } else { Err(Cause::StaleTimestamp) };
        prop_assert_eq!(sent.verdict(&verifier), expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_pass(provider in provider(), value in prop::collection::vec(any::<u8>(), 0..200), body in prop::collection::vec(any::<u8>(), 0..200)) {
        let verifier = bind(provider, &usable(provider));
        let mut sent = Sent::sample(&verifier, None);
        for (name, header) in &mut sent.headers {
            if name != "content-type" {
                header.clone_from(&value);
            }
        }
        sent.body = body;
        let verdict = sent.verdict(&verifier);
        prop_assert_eq!(verdict.is_ok(), provider == "none");
        let description = sent.description(&verifier);
        prop_assert!(description.event_type.chars().count() <= 200 && !description.event_type.is_empty());
        prop_assert!(verifier.form_to_json(&sent.body).is_none_or(|json| verifier.read_json(json.as_bytes()).is_some()));
    }
}
