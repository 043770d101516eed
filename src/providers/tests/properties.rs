//! Properties of every provider, for any input. Each test starts from an accepted request: the
//! project's own vector, and a sample if one can be signed.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use crate::scheme::encoding::Encoding;
use crate::scheme::layout::Layout;
use crate::scheme::place::Place;
use crate::scheme::signature::{BoundSignature, SignatureKeys};
use crate::scheme::template::TemplateScope;

use super::own::OwnRequest;
use super::*;

pub(super) static OWN: LazyLock<Vec<OwnRequest>> = LazyLock::new(own_requests);

/// The requests with some authentication.
fn verifying_requests() -> impl Iterator<Item = &'static OwnRequest> {
    OWN.iter().filter(|request| request.verifier.verifies_sender())
}

/// Whether the source of `request` accepts `sent`, a changed copy of its request.
fn accepted(sent: &SentRequest, request: &OwnRequest) -> bool {
    sent.verdict_in(&request.verifier, &request.world).is_ok()
}

/// The text that a scheme signs in a request.
fn signed_text(keyed: &BoundSignature, sent: &SentRequest, verifier: &Verifier) -> Option<Vec<u8>> {
    sent.put(|request| {
        let view = verifier.view(request);
        let scheme = keyed.scheme;
        let value = scheme.at.find(&view).ok()??.into_owned();
        let value = scheme.layout.groups(&value).last()?.to_vec();
        let timestamp = match &scheme.timestamp {
            Some(timestamp) => Some(timestamp.at.find(&view, &scheme.layout, &value).ok()?.into_owned()),
            None => None,
        };
        let scope = TemplateScope {
            timestamp: timestamp.as_deref(),
            layout: Some((&scheme.layout, &value)),
            secret: Some(b"secret"),
            ..TemplateScope::new(&view, &verifier.texts)
        };
        let mut text = scheme.template.render(&scope).ok()?;
        // A timestamp that is part of the key is signed as well.
        text.extend_from_slice(timestamp.as_deref().unwrap_or_default());
        Some(text)
    })
}

/// Returns each place with encoded signatures, with their layout and encoding.
pub(super) fn signature_places(request: &OwnRequest) -> Vec<(Place, Layout, Encoding)> {
    let code = [
        ("twilio", "header x-twilio-signature", "{signature}", Encoding::Base64),
        ("plivo-v3", "header x-plivo-signature-v3", "{signature},{signature}", Encoding::Base64),
        ("contentful", "header x-contentful-signature", "{signature}", Encoding::Hex),
        ("google-health", "header x-healthapi-signature", "{signature}", Encoding::Base64),
    ];
    let of_code = code.into_iter().filter(|(provider, ..)| *provider == request.provider);
    let of_code = of_code.map(|(_, place, layout, encoding)| {
        (Place::parse(place).unwrap(), Layout::parse(layout).unwrap(), encoding)
    });
    let of_data = request
        .verifier
        .proofs
        .signatures
        .iter()
        .map(|keyed| (keyed.scheme.at.clone(), keyed.scheme.layout.clone(), keyed.scheme.encoding));
    let mut places: Vec<(Place, Layout, Encoding)> = Vec::new();
    for (place, layout, encoding) in of_data.chain(of_code) {
        // Schemes that share a place share its value; a second flip would restore it.
        if places.iter().all(|(known, other, _)| *known != place || *other != layout) {
            places.push((place, layout, encoding));
        }
    }
    places
}

/// Flips one bit of each decoded signature in a value.
pub(super) fn flipped(value: &str, layout: &Layout, encoding: Encoding, bit: usize) -> Option<String> {
    let mut changed = value.to_owned();
    for group in layout.groups(value.as_bytes()) {
        for text in layout.candidates(group).ok()?.as_slice() {
            let Some(mut bytes) = encoding.decode_any(text) else { continue };
            let place = bit % (bytes.len() * 8);
            bytes[place / 8] ^= 1 << (place % 8);
            changed = changed.replace(std::str::from_utf8(text).ok()?, &encoding.encode(&bytes));
        }
    }
    (changed != value).then_some(changed)
}

fn change_header(
    sent: &mut SentRequest,
    is_wanted: impl Fn(&str) -> bool,
    change: impl Fn(&str) -> Option<String>,
) -> bool {
    let mut has_changed = false;
    for (_, value) in sent.headers.iter_mut().filter(|(name, _)| is_wanted(name)) {
        if let Some(changed) = change(&String::from_utf8_lossy(value)) {
            *value = changed.into_bytes();
            has_changed = true;
        }
    }
    has_changed
}

#[test]
fn every_provider_accepts_its_own_vector() {
    for request in OWN.iter() {
        assert_eq!(
            request.sent.verdict_in(&request.verifier, &request.world),
            Ok(()),
            "{}",
            request.provider
        );
    }
    assert_eq!(OWN.len(), recipes().len(), "a provider has no own vector");
}

#[test]
fn every_shared_secret_scheme_can_sign() {
    let cannot: Vec<&str> = OWN
        .iter()
        .filter(|request| request.verifier.sample(&sample_options(None, "nonce")).is_none())
        .map(|request| request.provider.as_str())
        .collect();
    let public = |request: &&OwnRequest| {
        let verifier = &request.verifier;
        let by_key =
            verifier.proofs.signatures.iter().any(|keyed| !matches!(keyed.keys, SignatureKeys::Secrets(_)));
        by_key
            || verifier
                .proofs
                .jwts
                .iter()
                .any(|(jwt, _)| jwt.algorithms.iter().any(|name| name.public().is_some()))
            || verifier.proofs.code.is_some()
    };
    let public: Vec<&str> = OWN.iter().filter(public).map(|request| request.provider.as_str()).collect();
    let shared: Vec<&&str> = cannot.iter().filter(|name| !public.contains(name)).collect();
    assert!(shared.is_empty(), "{shared:?}");
}

proptest! {
    // Each case goes through all providers.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn sample_with_any_event_is_accepted(event in "[^\\x00-\\x20\\x7f$]{1,20}", nonce in "[a-z0-9]{1,32}") {
        // Dropbox Sign signs its time, in digits, directly before the event type. Adyen joins
        // fields with colons. Payfast's trim is not that of Unicode, and white space is not signed.
        let may_be_sent = |provider: &str| match provider {
            "dropbox-sign" => !event.starts_with(|first: char| first.is_ascii_digit()),
            "adyen" => !event.contains(':'),
            "payfast" => event.trim() == event,
            _ => true,
        };
        for request in OWN.iter().filter(|request| may_be_sent(&request.provider)) {
            if let Some(sample) = request.verifier.sample(&sample_options(Some(&event), &nonce)) {
                let sent = SentRequest::of(sample);
                prop_assert_eq!(sent.verdict_in(&request.verifier, &request.world), Ok(()), "{}: {:?}", request.provider, sent);
            }
        }
    }

    #[test]
    fn flipped_bit_of_signed_text_is_rejected(place in any::<prop::sample::Index>(), bit in 0..8_u32) {
        for request in verifying_requests() {
            let mut sent = request.sent.clone();
            if sent.body.is_empty() {
                continue;
            }
            let place = place.index(sent.body.len());
            sent.body[place] ^= 1_u8 << bit;
            let proofs = &request.verifier.proofs;
            let texts = |sent: &SentRequest| -> Vec<Option<Vec<u8>>> {
                proofs.signatures.iter().map(|keyed| signed_text(keyed, sent, &request.verifier)).collect()
            };
            if accepted(&sent, request) {
                // Accepted only if the signed text is unchanged, e.g. if the bit is in white space
                // or in a part that the provider does not sign.
                let is_same = texts(&sent).iter().zip(texts(&request.sent)).any(|(now, before)| now.is_some() && *now == before);
                let is_uncovered = request.verifier.recipe().coverage() != Coverage::Full || proofs.code.is_some();
                prop_assert!(is_same || is_uncovered, "{}", request.provider);
            }
        }
    }

    #[test]
    fn flipped_bit_of_signature_is_rejected(bit in any::<usize>()) {
        for request in verifying_requests() {
            let mut sent = request.sent.clone();
            let mut has_changed = false;
            for (place, layout, encoding) in signature_places(request) {
                let change = |value: &str| flipped(value, &layout, encoding, bit);
                has_changed |= match &place {
                    Place::Header(name) => change_header(&mut sent, |given| given == name, change),
                    Place::Headers(beginning) => change_header(&mut sent, |given| given.starts_with(beginning.as_str()), change),
                    _ => false,
                };
            }
            prop_assert!(!has_changed || !accepted(&sent, request), "{}", request.provider);
        }
    }

    #[test]
    fn flipped_bit_of_token_signature_is_rejected(bit in any::<usize>()) {
        for request in verifying_requests() {
            let mut sent = request.sent.clone();
            let change = |value: &str| {
                let (signed, signature) = value.rsplit_once('.')?;
                let mut bytes = URL_SAFE_NO_PAD.decode(signature).ok().filter(|bytes| !bytes.is_empty())?;
                let place = bit % (bytes.len() * 8);
                bytes[place / 8] ^= 1 << (place % 8);
                Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(bytes)))
            };
            let mut has_changed = false;
            for (jwt, _) in request.verifier.proofs.jwts.iter().take(1) {
                if let Place::Header(name) = &jwt.at {
                    has_changed |= change_header(&mut sent, |given| given == name, change);
                }
            }
            prop_assert!(!has_changed || !accepted(&sent, request), "{}", request.provider);
        }
    }

    #[test]
    fn other_secret_is_rejected(bit in any::<usize>()) {
        for request in verifying_requests() {
            let mut settings = request.settings.clone();
            let secrets = ["secret", "primary_secret", "secondary_secret", "access_token", "password"];
            for (_, values) in settings.values.iter_mut().filter(|(name, _)| secrets.contains(&name.as_str())) {
                // Changes a letter or digit in the second half, so that prefix and encoding stay
                // valid.
                let mut text = values[0].expose().to_vec();
                let half = text.len() / 2;
                let places: Vec<usize> = (half..text.len()).filter(|place| text[*place].is_ascii_alphanumeric()).collect();
                // The last characters of base64 may hold bits that are ignored.
                let place = places[bit % places.len().saturating_sub(3).max(1)];
                text[place] = if text[place] == b'1' { b'2' } else { b'1' };
                values[0] = Secret::new(text);
            }
            if settings.values == request.settings.values {
                continue;
            }
            if let Ok(other) = Verifier::bind(request.verifier.recipe(), &settings) {
                prop_assert!(request.sent.verdict_in(&other, &request.world).is_err(), "{}", request.provider);
            }
        }
    }

    #[test]
    fn request_outside_tolerance_is_stale(seconds in 1_i64..1_000_000, ahead in any::<bool>()) {
        for request in OWN.iter() {
            let signs_time = request.verifier.proofs.signatures.iter().all(|keyed| keyed.scheme.timestamp.is_some())
                && !request.verifier.proofs.signatures.is_empty();
            if !signs_time {
                continue;
            }
            let tolerance = i64::try_from(request.verifier.tolerance.as_secs()).unwrap();
            let mut sent = request.sent.clone();
            // The own vectors are at most a minute old.
            let distance = tolerance + 60 + seconds;
            sent.now += time::Duration::seconds(if ahead { -distance } else { distance });
            prop_assert_eq!(sent.verdict_in(&request.verifier, &request.world), Err(Cause::StaleTimestamp), "{}", request.provider);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_never_pass(value in prop::collection::vec(any::<u8>(), 0..200), body in prop::collection::vec(any::<u8>(), 0..200)) {
        for request in OWN.iter() {
            let mut sent = request.sent.clone();
            for (name, header) in &mut sent.headers {
                if name != "content-type" {
                    header.clone_from(&value);
                }
            }
            sent.body.clone_from(&body);
            sent.query = String::from_utf8_lossy(&value).into_owned();
            let verdict = sent.verdict_in(&request.verifier, &request.world);
            prop_assert!(verdict.is_err() || !request.verifier.verifies_sender(), "{}", request.provider);
            let description = sent.description(&request.verifier);
            prop_assert!(description.event_type.chars().count() <= 200 && !description.event_type.is_empty());
            let form = sent.put(|received| request.verifier.form_to_json(received));
            prop_assert!(form.ok().flatten().is_none_or(|json| request.verifier.read_json(json.as_bytes()).is_some()));
            for moment in [HandshakePhase::BeforeAuthentication, HandshakePhase::AfterAuthentication] {
                let _ = sent.put(|received| request.verifier.handshake(received, moment, LearningWindow::Open));
            }
        }
    }
}
