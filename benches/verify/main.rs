//! Cost of recipes: verification by recipe against handwritten code for the same scheme.
//!
//! Run with `cargo bench --bench verify`. Only the ratio of two rows of the same run is meaningful.

use std::hint::black_box;
use std::time::Duration;

use creel::testing::{EmptyKeyStore, Headers, Request, Secret, Settings, Verifier, recipe};
use criterion::{BenchmarkId, Criterion, Throughput};
use ring::hmac;
use time::OffsetDateTime;

const SECRET: &[u8] = b"a secret of the benchmark, as long as GitHub advises";
const NOW: i64 = 1_760_000_000;
const SIZES: [usize; 2] = [1_000, 5_400];

/// A signed request with realistic headers.
struct Signed {
    fields: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

impl Signed {
    fn new(body_bytes: usize, header: &'static str, value: impl Fn(&[u8]) -> String) -> Self {
        let body =
            format!(r#"{{"id":"evt_1","type":"invoice.paid","filler":"{}"}}"#, "x".repeat(body_bytes - 51))
                .into_bytes();
        let mut fields: Vec<(&str, Vec<u8>)> = vec![
            ("accept", b"*/*".to_vec()),
            ("content-length", body.len().to_string().into_bytes()),
            ("content-type", b"application/json".to_vec()),
            ("host", b"hooks.example.com".to_vec()),
            ("user-agent", b"GitHub-Hookshot/7bb3c0a".to_vec()),
            ("x-github-delivery", b"72d3162e-cc78-11e3-81ab-4c9367dc0958".to_vec()),
            ("x-github-event", b"issues".to_vec()),
            (header, value(&body).into_bytes()),
        ];
        fields.sort_by_key(|(name, _)| *name);
        Self { fields, body }
    }

    fn put<T>(&self, use_request: impl FnOnce(&Request<'_>) -> T) -> T {
        let fields: Vec<(&str, &[u8])> =
            self.fields.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        use_request(&Request {
            method: "POST",
            target: "/webhooks/x",
            query: "",
            url: "",
            headers: Headers(&fields),
            body: &self.body,
            now: OffsetDateTime::from_unix_timestamp(NOW).unwrap_or(OffsetDateTime::UNIX_EPOCH),
        })
    }
}

fn key() -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, SECRET)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decodes two hex digits per byte, of either case.
fn decoded(text: &[u8]) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    for (pair, byte) in text.chunks_exact(2).zip(&mut bytes) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn field<'a>(request: &Request<'a>, name: &str) -> Option<&'a [u8]> {
    request.headers.0.iter().find(|(field, _)| *field == name).map(|(_, value)| *value)
}

/// Handwritten verification for GitHub.
fn github_by_hand(key: &hmac::Key, request: &Request<'_>) -> bool {
    let signature = field(request, "x-hub-signature-256").and_then(|value| value.strip_prefix(b"sha256="));
    signature.and_then(decoded).is_some_and(|tag| hmac::verify(key, request.body, &tag).is_ok())
}

/// Handwritten verification for Stripe.
fn stripe_by_hand(key: &hmac::Key, request: &Request<'_>) -> bool {
    let Some(value) = field(request, "stripe-signature").and_then(|value| std::str::from_utf8(value).ok())
    else {
        return false;
    };
    let (mut timestamp, mut tags) = (None, Vec::new());
    for pair in value.split(',') {
        match pair.trim().split_once('=') {
            Some(("t", text)) => timestamp = Some(text),
            Some(("v1", text)) => tags.extend(decoded(text.as_bytes())),
            _ => {}
        }
    }
    let Some(timestamp) = timestamp else { return false };
    let mut context = hmac::Context::with_key(key);
    context.update(timestamp.as_bytes());
    context.update(b".");
    context.update(request.body);
    let tag = context.sign();
    let is_right = tags.iter().any(|sent| ring_eq(tag.as_ref(), sent));
    let is_fresh =
        timestamp.parse::<i64>().is_ok_and(|sent| sent.abs_diff(request.now.unix_timestamp()) <= 300);
    is_right && is_fresh
}

/// Compares in constant time.
fn ring_eq(first: &[u8], second: &[u8]) -> bool {
    first.len() == second.len() && first.iter().zip(second).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

fn by_recipe(name: &str) -> Verifier {
    let mut settings = Settings::default();
    settings.values.insert("secret".to_owned(), vec![Secret::new(SECRET)]);
    let recipe = recipe(name).unwrap_or_else(|| panic!("the catalogue has {name}"));
    Verifier::bind(recipe, &settings).unwrap_or_else(|errors| panic!("{name}: {errors:?}"))
}

type ByHand = fn(&hmac::Key, &Request<'_>) -> bool;
type Header = (&'static str, fn(&[u8]) -> String);

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    let github: Header =
        ("x-hub-signature-256", |body| format!("sha256={}", hex(hmac::sign(&key(), body).as_ref())));
    let stripe: Header = ("stripe-signature", |body| {
        let text = [format!("{NOW}.").as_bytes(), body].concat();
        format!("t={NOW},v1={}", hex(hmac::sign(&key(), &text).as_ref()))
    });
    let rows: [(&str, Header, ByHand); 2] =
        [("github", github, github_by_hand), ("stripe", stripe, stripe_by_hand)];
    for (name, (header, value), by_hand) in rows {
        let mut group = criterion.benchmark_group(name);
        let (key, verifier) = (key(), by_recipe(name));
        for size in SIZES {
            let signed = Signed::new(size, header, value);
            group.throughput(Throughput::Bytes(size as u64));
            signed.put(|request| {
                assert!(by_hand(&key, request) && verifier.authenticate(request, &EmptyKeyStore).is_ok());
                group.bench_function(BenchmarkId::new("by hand", size), |bencher| {
                    bencher.iter(|| by_hand(&key, black_box(request)));
                });
                group.bench_function(BenchmarkId::new("by recipe", size), |bencher| {
                    bencher.iter(|| verifier.authenticate(black_box(request), &EmptyKeyStore).is_ok());
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
