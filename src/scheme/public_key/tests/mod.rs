//! Every kind of key with every algorithm, and invalid keys.

mod generated;
mod sent;

use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use self::generated::{
    ED25519, MESSAGE, P256, P256_COMPRESSED, P384, P521, RSA_512, RSA_1024, RSA_1024_SHA1, RSA_1024_SHA256,
    RSA_2048, RSA_PKCS1_PEM, SECP256K1, SIGNED,
};
use self::sent::SENT;
use super::*;

fn bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn pem(label: &str, base64: &str) -> String {
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
}

fn signature(algorithm: PublicAlgorithm) -> Vec<u8> {
    bytes(SIGNED.iter().find(|(found, ..)| *found == algorithm).unwrap().2)
}

/// Whether the text is read as the key that signed the message.
fn reads(text: &str, algorithm: PublicAlgorithm) -> bool {
    PublicKey::parse(text).is_ok_and(|key| key.verify(algorithm, MESSAGE, &signature(algorithm)))
}

fn flipped(bytes: &[u8], index: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[index] ^= 1;
    bytes
}

#[test]
fn every_algorithm_accepts_its_signature_and_no_other() {
    for (algorithm, key, signature) in SIGNED {
        let (key, signature) = (PublicKey::parse(key).unwrap(), bytes(signature));
        assert!(key.fits(algorithm), "{algorithm:?}");
        assert!(key.verify(algorithm, MESSAGE, &signature), "{algorithm:?}");
        for index in 0..signature.len() {
            assert!(!key.verify(algorithm, MESSAGE, &flipped(&signature, index)), "{algorithm:?} {index}");
        }
        for index in 0..MESSAGE.len() {
            assert!(!key.verify(algorithm, &flipped(MESSAGE, index), &signature), "{algorithm:?} {index}");
        }
        let cut = &signature[..signature.len() - 1];
        let longer = [&signature, &[0][..]].concat();
        for other in [&[], cut, &longer, &[0x30; 1_000_000], &[0; 64], &[0; 132], &[0; 256]] {
            assert!(!key.verify(algorithm, MESSAGE, other), "{algorithm:?} {}", other.len());
        }
        assert!(!key.verify(algorithm, b"", &signature), "{algorithm:?}");
    }
}

#[test]
fn key_checks_only_algorithms_of_its_kind() {
    for (algorithm, own, signature) in SIGNED {
        for key in [ED25519, P256, P384, P521, RSA_2048] {
            let parsed = PublicKey::parse(key).unwrap();
            assert_eq!(parsed.fits(algorithm), key == own, "{algorithm:?} {key}");
            assert_eq!(
                parsed.verify(algorithm, MESSAGE, &bytes(signature)),
                key == own,
                "{algorithm:?} {key}"
            );
        }
        for (other, key, _) in SIGNED {
            let accepted = PublicKey::parse(key).unwrap().verify(other, MESSAGE, &bytes(signature));
            assert_eq!(accepted, other == algorithm, "{other:?} with the signature of {algorithm:?}");
        }
    }
}

#[test]
fn provider_vectors_are_accepted_and_changed_ones_rejected() {
    for sent in SENT {
        let key = match serde_json::from_str(sent.key) {
            Ok(value @ Value::Object(_)) => PublicKey::from_jwk(&value),
            _ => PublicKey::parse(sent.key),
        };
        let (key, signature, message) = (key.unwrap(), bytes(sent.signature), sent.message.as_bytes());
        assert!(key.verify(sent.algorithm, message, &signature), "{}", sent.provider);
        assert!(!key.verify(sent.algorithm, &flipped(message, 0), &signature), "{}", sent.provider);
        assert!(!key.verify(sent.algorithm, message, &flipped(&signature, 10)), "{}", sent.provider);
    }
}

#[test]
fn key_is_read_in_every_published_form() {
    use PublicAlgorithm::{EcdsaP256Sha256, Ed25519, RsaSha256};
    let whole = pem("PUBLIC KEY", P256);
    for text in [
        P256.to_owned(),
        format!("  {P256}\n"),
        P256_COMPRESSED.to_owned(),
        whole.clone(),
        whole.replace('\n', "\r\n"),
        whole.replace('\n', ""),
        whole.replace('\n', " "),
        whole.replace('\n', "\\n"),
        whole.replace('\n', "\\r\\n"),
        format!("Our key:\n{whole}"),
    ] {
        assert!(reads(&text, EcdsaP256Sha256), "{text}");
    }
    let der = bytes(ED25519);
    let raw = &der[der.len() - 32..];
    let base64 = STANDARD.encode(raw);
    let hex = Encoding::Hex.encode(raw);
    for text in [
        ED25519.to_owned(),
        format!("whpk_{ED25519}"),
        base64.clone(),
        format!("whpk_{base64}"),
        base64.trim_end_matches('=').to_owned(),
        hex.to_uppercase(),
        hex,
    ] {
        assert!(reads(&text, Ed25519), "{text}");
    }
    for text in [RSA_2048, RSA_PKCS1_PEM, &RSA_PKCS1_PEM.replace('\n', ""), &pem("PUBLIC KEY", RSA_2048)] {
        assert!(reads(text, RsaSha256), "{text}");
    }
}

#[test]
fn invalid_key_error_has_advice_and_hides_value() {
    let cut = pem("PUBLIC KEY", P256).replace("-----END PUBLIC KEY-----", "");
    let shorter = pem("PUBLIC KEY", &P256[..P256.len() - 4]);
    let (private, parameters, curve) =
        (pem("EC PRIVATE KEY", P256), pem("EC PARAMETERS", "BggqhkjOPQMBBw=="), pem("PUBLIC KEY", SECP256K1));
    let off_the_curve = STANDARD.encode(flipped(&bytes(P256), 80));
    let rows = [
        ("", NOT_A_KEY),
        ("whpk_", NOT_A_KEY),
        ("whpk_YWJj", NOT_A_KEY),
        ("not base64!", NOT_A_KEY),
        ("9878cb793922533d67a12b4deef6c11586f7cc4bdc66afd57a9e306eb31c2a", NOT_A_KEY),
        ("MAA=", BROKEN),
        (&P256[..P256.len() - 4], BROKEN),
        (&off_the_curve, BROKEN),
        (&cut, CUT),
        (&cut.replace('M', "-"), CUT),
        (&shorter, BROKEN),
        (&private, PRIVATE),
        (
            &parameters,
            KeyError(
                "is PEM, but neither a public key nor a certificate; copy the public key from the provider",
            ),
        ),
        (&curve, OTHER_KIND),
        (RSA_512, RSA_SIZE),
    ];
    for (text, problem) in rows {
        assert_eq!(PublicKey::parse(text).unwrap_err(), problem, "{text}");
    }
}

#[test]
fn short_rsa_keys_check_sha1_only() {
    let key = PublicKey::parse(RSA_1024).unwrap();
    assert!(key.fits(PublicAlgorithm::RsaSha1));
    assert!(key.verify(PublicAlgorithm::RsaSha1, MESSAGE, &bytes(RSA_1024_SHA1)));
    assert!(!key.fits(PublicAlgorithm::RsaSha256));
    assert!(!key.verify(PublicAlgorithm::RsaSha256, MESSAGE, &bytes(RSA_1024_SHA256)));
}

#[test]
fn json_web_key_verifies_signatures_of_its_key() {
    let url = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    for (key, curve, algorithm) in [
        (P256, "P-256", PublicAlgorithm::Es256),
        (P384, "P-384", PublicAlgorithm::Es384),
        (P521, "P-521", PublicAlgorithm::Es512),
    ] {
        let der = bytes(key);
        let half = Curve::by_name(curve).unwrap().coordinate_bytes();
        let (x, y) = der[der.len() - half * 2..].split_at(half);
        let read =
            |x: &[u8]| PublicKey::from_jwk(&json!({"kty": "EC", "crv": curve, "x": url(x), "y": url(y)}));
        assert!(read(x).unwrap().verify(algorithm, MESSAGE, &signature(algorithm)), "{curve}");
        assert_eq!(read(&[x, &[0]].concat()).unwrap_err(), BROKEN_JWK);
    }
    let der = bytes(ED25519);
    let read = |x: &[u8]| PublicKey::from_jwk(&json!({"kty": "OKP", "crv": "Ed25519", "x": url(x)}));
    let algorithm = PublicAlgorithm::Ed25519;
    assert!(read(&der[der.len() - 32..]).unwrap().verify(algorithm, MESSAGE, &signature(algorithm)));
    assert_eq!(read(&der).unwrap_err(), BROKEN_JWK);
}

#[test]
fn coordinate_may_lack_leading_zeros() {
    let sent = SENT.iter().find(|sent| sent.algorithm == PublicAlgorithm::Es512).unwrap();
    let mut key: Value = serde_json::from_str(sent.key).unwrap();
    for name in ["x", "y"] {
        let coordinate = URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        let [0, rest @ ..] = coordinate.as_slice() else { panic!("{name} begins with a zero") };
        key[name] = URL_SAFE_NO_PAD.encode(rest).into();
    }
    let key = PublicKey::from_jwk(&key).unwrap();
    assert!(key.verify(sent.algorithm, sent.message.as_bytes(), &bytes(sent.signature)));
}

#[test]
fn leading_zeros_of_rsa_numbers_do_not_matter() {
    let Ok(PublicKey(PublicKeyKind::Rsa { modulus, exponent })) = PublicKey::parse(RSA_2048) else {
        panic!("an RSA key");
    };
    let url = |bytes: &[u8]| URL_SAFE_NO_PAD.encode([&[0, 0], bytes].concat());
    let key = PublicKey::from_jwk(&json!({"kty": "RSA", "n": url(&modulus), "e": url(&exponent)})).unwrap();
    assert!(key.verify(PublicAlgorithm::RsaSha256, MESSAGE, &signature(PublicAlgorithm::RsaSha256)));
}

#[test]
fn broken_json_web_key_is_rejected() {
    for (key, problem) in [
        (json!(null), BROKEN_JWK),
        (json!([]), BROKEN_JWK),
        (json!({"kty": 1}), BROKEN_JWK),
        (json!({"kty": "RSA", "n": "AQAB"}), BROKEN_JWK),
        (json!({"kty": "RSA", "n": "AQAB", "e": "AQ=="}), BROKEN_JWK),
        (json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), RSA_SIZE),
        (json!({"kty": "RSA", "n": "AQAB", "e": ""}), BROKEN),
        (json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}), BROKEN),
        (json!({"kty": "EC", "crv": "P-256", "x": "AA"}), BROKEN_JWK),
        (json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}), OTHER_KIND),
        (json!({"kty": "OKP", "crv": "X25519", "x": "AA"}), OTHER_KIND),
        (json!({"kty": "oct", "k": "AA"}), OTHER_KIND),
    ] {
        assert_eq!(PublicKey::from_jwk(&key).unwrap_err(), problem, "{key}");
    }
}

#[test]
fn damaged_key_rejects_signatures_of_the_original() {
    for (algorithm, key, signature) in SIGNED {
        let (der, signature) = (bytes(key), bytes(signature));
        for index in 0..der.len() {
            let damaged = PublicKey::from_spki(&flipped(&der, index));
            assert!(
                !damaged.is_ok_and(|key| key.verify(algorithm, MESSAGE, &signature)),
                "{algorithm:?} {index}"
            );
            assert!(PublicKey::from_spki(&der[..index]).is_err(), "{algorithm:?} {index}");
        }
    }
}

#[test]
fn pem_blocks_are_found_within_other_text() {
    let blocks =
        |text: &str| pem_blocks(text).map(|(label, bytes)| (label.to_owned(), bytes)).collect::<Vec<_>>();
    let text = format!("before {} between {} after", pem("A", "YWI="), pem("B B", "YWI"));
    let ab = || Some(b"ab".to_vec());
    assert_eq!(blocks(&text), [("A".to_owned(), ab()), ("B B".to_owned(), ab())]);
    assert_eq!(blocks(&pem("A", "Y")), [("A".to_owned(), None)]);
    assert_eq!(blocks("-----BEGIN A-----YWI=-----END B-----"), [("A".to_owned(), None)]);
    for none in ["", "-----BEGIN", "-----BEGIN A", "-----END A-----", "-----BEGIN -"] {
        assert_eq!(blocks(none), [], "{none}");
    }
}
