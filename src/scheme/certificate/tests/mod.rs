//! Valid chains, and every kind of invalid chain.

mod chains;

use std::cell::Cell;

use time::macros::datetime;

use self::chains::{
    CIRCLE_A, CIRCLE_B, CIRCLE_LEAF, EC_FOR_MAIL, EC_INTERMEDIATE, EC_LEAF, EC_ROOT, IMPOSTOR_ROOT,
    OTHER_ROOT, RSA_INTERMEDIATE, RSA_LEAF, RSA_ROOT, SELF_SIGNED,
};
use super::CertificateError::{IssuerMissing, Malformed, NotValidNow, Untrusted};
use super::*;
use crate::content::request::{Headers, Request};
use crate::content::view::View;
use crate::scheme::key_store::{KeyRequest, KeyResponse, KeyStore};
use crate::scheme::public_key::PublicAlgorithm;

const NOW: OffsetDateTime = datetime!(2030-01-01 0:00 UTC);

fn der(pem: &str) -> Vec<u8> {
    certificates(pem.as_bytes()).remove(0)
}

/// Verifies a chain. All certificates are PEM; `further` are the fetched ones.
fn verify_chain(
    chain: &[&str],
    further: &[&str],
    roots: &[&str],
    now: OffsetDateTime,
) -> Result<PublicKey, CertificateError> {
    let further: Vec<Vec<u8>> = further.iter().map(|pem| der(pem)).collect();
    trusted_key(chain.concat().as_bytes(), &further, &Roots::from_pem(&roots.concat()), now)
}

fn problem(chain: &[&str], further: &[&str], roots: &[&str]) -> Option<CertificateError> {
    verify_chain(chain, further, roots, NOW).err()
}

fn missing(url: &str) -> Option<CertificateError> {
    Some(IssuerMissing { url: Some(url.to_owned()) })
}

#[test]
fn chain_to_root_returns_key_of_first_certificate() {
    let roots = [OTHER_ROOT, EC_ROOT, RSA_ROOT];
    let key = verify_chain(&[EC_LEAF, EC_INTERMEDIATE], &[], &roots, NOW).unwrap();
    assert!(key.fits(PublicAlgorithm::EcdsaP256Sha256));
    let key = verify_chain(&[RSA_LEAF, RSA_INTERMEDIATE], &[], &roots, NOW).unwrap();
    assert!(key.fits(PublicAlgorithm::RsaSha256));
    assert_eq!(problem(&[EC_LEAF, RSA_ROOT, EC_ROOT, EC_INTERMEDIATE], &[], &roots), None);
    assert_eq!(problem(&[EC_LEAF], &[EC_INTERMEDIATE], &roots), None);
    assert_eq!(problem(&[EC_LEAF], &[RSA_INTERMEDIATE, EC_INTERMEDIATE], &roots), None);
    // An intermediate may be the root of trust.
    assert_eq!(problem(&[EC_LEAF], &[], &[EC_INTERMEDIATE]), None);
    let roots = Roots::new([b"nothing".to_vec(), der(EC_INTERMEDIATE)]);
    assert!(trusted_key(&der(EC_LEAF), &[], &roots, NOW).is_ok());
}

#[test]
fn missing_issuer_has_the_url_from_the_certificate() {
    let (intermediate, root) =
        ("https://certificates.example/intermediate.cer", "http://certificates.example/root.cer");
    assert_eq!(problem(&[EC_LEAF], &[], &[EC_ROOT]), missing(intermediate));
    assert_eq!(problem(&[EC_LEAF, RSA_INTERMEDIATE], &[], &[EC_ROOT]), missing(intermediate));
    assert_eq!(problem(&[EC_LEAF, EC_INTERMEDIATE], &[], &[OTHER_ROOT]), missing(root));
    assert_eq!(problem(&[EC_LEAF], &[EC_INTERMEDIATE], &[]), missing(root));
    assert_eq!(problem(&[RSA_LEAF], &[], &[RSA_ROOT]), Some(IssuerMissing { url: None }));
}

#[test]
fn chain_to_another_root_is_not_trusted() {
    assert_eq!(problem(&[EC_LEAF, EC_INTERMEDIATE, EC_ROOT], &[], &[OTHER_ROOT]), Some(Untrusted));
    assert_eq!(problem(&[EC_LEAF, EC_INTERMEDIATE], &[], &[IMPOSTOR_ROOT]), Some(Untrusted));
    assert_eq!(problem(&[EC_LEAF, EC_INTERMEDIATE, IMPOSTOR_ROOT], &[], &[OTHER_ROOT]), Some(Untrusted));
    assert_eq!(problem(&[EC_ROOT], &[], &[OTHER_ROOT]), Some(Untrusted));
}

/// Answers the first requests for an issuer with a certificate that is not the issuer.
#[derive(Default)]
struct LateIssuer {
    roots: Roots,
    requests: Cell<usize>,
    /// Number of the request that the issuer answers, from 1.
    issuer_at: usize,
}

impl KeyStore for LateIssuer {
    fn known(&self, wanted: &KeyRequest) -> KeyResponse {
        let KeyRequest::Issuer(_) = wanted else { return KeyResponse::Document(der(EC_LEAF)) };
        self.requests.set(self.requests.get() + 1);
        let is_issuer = self.requests.get() == self.issuer_at;
        KeyResponse::Document(der(if is_issuer { EC_INTERMEDIATE } else { RSA_INTERMEDIATE }))
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }
}

#[test]
fn every_fetched_issuer_is_used() {
    let request = Request {
        method: "POST",
        target: "/",
        query: "",
        url: "",
        headers: Headers(&[]),
        body: b"",
        now: NOW,
    };
    let view = View::new(&request, None);
    for (issuer_at, is_trusted) in [(1, true), (3, true), (4, false)] {
        let store = LateIssuer { roots: Roots::from_pem(EC_ROOT), issuer_at, ..LateIssuer::default() };
        let key_store: &dyn KeyStore = &store;
        let key = key_store.certified_key("https://a.example/leaf.pem", |_| true, &view);
        assert_eq!(key.is_ok(), is_trusted, "{issuer_at}");
        assert_eq!(store.requests.get(), issuer_at.min(3));
    }
}

#[test]
fn certificate_is_trusted_only_for_its_usage() {
    assert_eq!(problem(&[EC_FOR_MAIL, EC_INTERMEDIATE], &[], &[EC_ROOT]), Some(Untrusted));
    // A certificate that issues others must not sign webhooks.
    assert_eq!(problem(&[EC_INTERMEDIATE], &[], &[EC_ROOT]), Some(Untrusted));
    // A certificate that signs webhooks must not issue others.
    assert_eq!(
        problem(&[EC_LEAF, RSA_LEAF], &[], &[RSA_ROOT]),
        missing("https://certificates.example/intermediate.cer")
    );
}

#[test]
fn root_certificate_needs_no_chain() {
    let trusted = |now| verify_chain(&[SELF_SIGNED], &[], &[EC_ROOT, SELF_SIGNED], now);
    assert!(trusted(NOW).unwrap().fits(PublicAlgorithm::RsaSha1));
    assert!(matches!(trusted(datetime!(2045-01-02 0:00 UTC)), Err(NotValidNow)));
    assert_eq!(problem(&[SELF_SIGNED], &[], &[EC_ROOT]), Some(Untrusted));
    let mut changed = der(SELF_SIGNED);
    *changed.last_mut().unwrap() ^= 1;
    assert!(trusted_key(&changed, &[], &Roots::from_pem(SELF_SIGNED), NOW).is_err());
}

#[test]
fn validity_is_checked_to_the_second_for_any_issuer() {
    let trusted = |now| verify_chain(&[SELF_SIGNED], &[], &[SELF_SIGNED], now).is_ok();
    assert!(trusted(datetime!(2020-01-01 0:00 UTC)));
    assert!(!trusted(datetime!(2019-12-31 23:59:59 UTC)));
    assert!(trusted(datetime!(2045-01-01 0:00 UTC)));
    assert!(!trusted(datetime!(2045-01-01 0:00:01 UTC)));
    for now in
        [datetime!(2020-01-01 0:00 UTC), datetime!(2127-01-01 0:00 UTC), datetime!(1950-01-01 0:00 UTC)]
    {
        for roots in [EC_ROOT, OTHER_ROOT] {
            assert_eq!(
                verify_chain(&[EC_LEAF, EC_INTERMEDIATE], &[], &[roots], now).err(),
                Some(NotValidNow)
            );
        }
    }
}

#[test]
fn changed_bit_of_a_chain_is_detected() {
    let (leaf, intermediate, roots) = (der(EC_LEAF), der(EC_INTERMEDIATE), Roots::from_pem(EC_ROOT));
    for bit in 0..leaf.len() * 8 {
        let mut changed = leaf.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(trusted_key(&changed, std::slice::from_ref(&intermediate), &roots, NOW).is_err(), "{bit}");
    }
    for bit in 0..intermediate.len() * 8 {
        let mut changed = intermediate.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(trusted_key(&leaf, &[changed], &roots, NOW).is_err(), "{bit}");
    }
    let mut forged = leaf;
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(trusted_key(&forged, &[intermediate], &roots, NOW).err(), Some(Untrusted));
}

#[test]
fn invalid_certificate_is_malformed() {
    let cut = EC_LEAF.replace("-----END", "");
    let cut_within = EC_LEAF.replace("=\n", "\n").replace("-----END", "A-----END");
    for text in ["", "nothing", "0 but text"] {
        assert_eq!(verify_chain(&[text], &[], &[EC_ROOT], NOW).err(), Some(Malformed), "{text}");
    }
    // A root after a damaged certificate must not become the signer.
    let empty = "-----BEGIN CERTIFICATE-----MAA=-----END CERTIFICATE-----";
    for text in [cut.as_str(), &cut_within, empty] {
        assert_eq!(verify_chain(&[text, EC_ROOT], &[], &[EC_ROOT], NOW).err(), Some(Malformed), "{text}");
    }
    let whole = der(EC_LEAF);
    for length in 0..whole.len() {
        assert_eq!(
            trusted_key(&whole[..length], &[], &Roots::default(), NOW).err(),
            Some(Malformed),
            "{length}"
        );
    }
}

#[test]
fn certificates_that_issue_each_other_are_untrusted() {
    let circle = [CIRCLE_LEAF, CIRCLE_A, CIRCLE_B];
    assert_eq!(problem(&circle, &[], &[EC_ROOT]), Some(Untrusted));
    assert_eq!(problem(&circle[..2], &[], &[EC_ROOT]), Some(IssuerMissing { url: None }));
    assert_eq!(problem(&circle[..2], &[], &[CIRCLE_B]), None);
}

#[test]
fn intermediates_beyond_limit_are_ignored() {
    let url = "https://certificates.example/intermediate.cer";
    let chain =
        |others: usize| [vec![EC_LEAF], vec![RSA_INTERMEDIATE; others], vec![EC_INTERMEDIATE]].concat();
    assert_eq!(problem(&chain(MAX_INTERMEDIATES - 1), &[], &[EC_ROOT]), None);
    assert_eq!(problem(&chain(MAX_INTERMEDIATES), &[], &[EC_ROOT]), missing(url));
}

#[test]
fn bundle_is_read_up_to_a_damaged_certificate() {
    let damaged = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    let key = "-----BEGIN PUBLIC KEY-----\nYWI=\n-----END PUBLIC KEY-----\n";
    let found = |parts: &[&str]| certificates(parts.concat().as_bytes());
    assert_eq!(found(&[EC_LEAF, key, "0 s:/CN=a\n", EC_ROOT]), [der(EC_LEAF), der(EC_ROOT)]);
    assert_eq!(found(&["0 s:/CN=a\n", EC_LEAF]), [der(EC_LEAF)]);
    assert_eq!(found(&[EC_LEAF, damaged, EC_ROOT]), [der(EC_LEAF)]);
    assert_eq!(found(&[damaged, EC_ROOT]), Vec::<Vec<u8>>::new());
    assert_eq!(found(&[&EC_LEAF.replace('\n', "")]), [der(EC_LEAF)]);
    assert_eq!(certificates(&der(EC_LEAF)), [der(EC_LEAF)]);
    assert_eq!(certificates(&[0xff, 0xfe]), Vec::<Vec<u8>>::new());
    let roots = Roots::from_pem(&[damaged, EC_ROOT].concat());
    assert!(trusted_key([EC_LEAF, EC_INTERMEDIATE].concat().as_bytes(), &[], &roots, NOW).is_ok());
}
