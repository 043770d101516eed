//! Certificates and public keys in every published format: an unsigned certificate is not trusted,
//! and every accepted key fits an algorithm.
#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use creel::testing::Roots;
use creel::testing::certificate::{certificates, trusted_key};
use creel::testing::public_key::{PublicAlgorithm, PublicKey};
use creel_fuzz::{INTERMEDIATE, LEAF, ROOT, now};

static ROOTS: LazyLock<Roots> = LazyLock::new(|| Roots::from_pem(ROOT));
static NO_ROOTS: LazyLock<Roots> = LazyLock::new(|| Roots::new([]));
static FURTHER: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| certificates(INTERMEDIATE.as_bytes()));
/// Keys of the root and of all certificates issued under it.
static GENUINE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let key = |pem| PublicKey::parse(pem).expect("the certificates are good");
    [ROOT, INTERMEDIATE, LEAF].map(|pem| shown(&key(pem))).to_vec()
});

const ALGORITHMS: [PublicAlgorithm; 10] = [
    PublicAlgorithm::Ed25519,
    PublicAlgorithm::EcdsaP256Sha256,
    PublicAlgorithm::EcdsaP256Sha1,
    PublicAlgorithm::RsaSha1,
    PublicAlgorithm::RsaSha256,
    PublicAlgorithm::RsaSha384,
    PublicAlgorithm::RsaSha512,
    PublicAlgorithm::Es256,
    PublicAlgorithm::Es384,
    PublicAlgorithm::Es512,
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let found = certificates(data);
    assert_eq!(
        certificates(written(&found).as_bytes()),
        found,
        "a bundle is unchanged by writing and reading"
    );
    assert!(trusted_key(data, &FURTHER, &NO_ROOTS, now()).is_err(), "a certificate is trusted without roots");
    for further in [&[][..], &FURTHER] {
        if let Ok(key) = trusted_key(data, further, &ROOTS, now()) {
            assert!(GENUINE.contains(&shown(&key)), "no certificate was issued for {key:?}");
        }
    }
    // Other certificates next to a genuine chain must not replace it.
    let genuine = trusted_key(LEAF.as_bytes(), &[&found[..], &FURTHER].concat(), &ROOTS, now());
    if found.len() < 16 {
        assert_eq!(genuine.as_ref().map(shown).ok(), GENUINE.last().cloned(), "{genuine:?}");
    }
    let _ = Roots::new([data.to_vec()]);
    if let Ok(key) = PublicKey::from_spki(data) {
        use_key(&key);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = PublicKey::parse(text) {
        use_key(&key);
        // An environment variable can hold the key in one line, with escaped line breaks.
        let one_line = PublicKey::parse(&text.trim().replace('\n', "\\n"));
        assert_eq!(one_line.as_ref().map(shown), Ok(shown(&key)), "escaped line breaks change the key");
    }
    if let Ok(jwk) = serde_json::from_str(text)
        && let Ok(key) = PublicKey::from_jwk(&jwk)
    {
        use_key(&key);
    }
});

fn written(certificates: &[Vec<u8>]) -> String {
    let block = |der: &Vec<u8>| {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
    };
    certificates.iter().map(block).collect()
}

/// Returns a key's debug text, to compare keys.
fn shown(key: &PublicKey) -> String {
    format!("{key:?}")
}

fn use_key(key: &PublicKey) {
    assert!(ALGORITHMS.iter().any(|algorithm| key.fits(*algorithm)), "{key:?} fits no algorithm");
    for algorithm in ALGORITHMS {
        for length in [0, 64, 96, 132, 256] {
            let signature: Vec<u8> = (1..=u8::MAX).cycle().take(length).collect();
            assert!(
                !key.verify(algorithm, b"this text is unsigned", &signature),
                "{key:?} accepts any signature"
            );
        }
    }
}
