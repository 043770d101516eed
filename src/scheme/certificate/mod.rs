//! Certificate chains: verifies that a certificate leads to a trusted root, and returns its key.
//! Fetches nothing: it returns the URL of a missing issuer, and the caller fetches that certificate
//! and retries.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use time::OffsetDateTime;
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, Error, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter,
    KeyUsage, RequiredEkuNotFoundContext, anchor_from_trusted_cert,
};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::AuthorityInfoAccessSyntax;
use x509_cert::ext::pkix::name::GeneralName;

use super::public_key::{PublicKey, is_certificate, pem_blocks};

/// Limit on the intermediate certificates of a chain, above the number in any real chain; further
/// certificates are ignored.
const MAX_INTERMEDIATES: usize = 16;

const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");

/// The reason why a certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the certificate cannot be read, or contains a key of an unknown type")]
    Malformed,
    #[error("the certificate or one of its issuers is not valid at this time")]
    NotValidNow,
    #[error("the certificate does not lead to a trusted root")]
    Untrusted,
    /// `url`: the address of the issuer, if the certificate contains it.
    #[error("the issuer of the certificate is missing")]
    IssuerMissing { url: Option<String> },
}

/// The root certificates, which are trusted without an issuer. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    certificates: Arc<[CertificateDer<'static>]>,
    /// The same certificates, in the form that webpki requires.
    anchors: Arc<[TrustAnchor<'static>]>,
}

impl Roots {
    /// Skips entries that are not certificates: operating systems have odd ones in their stores.
    pub fn new(certificates_der: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let root = |der: Vec<u8>| {
            let certificate = CertificateDer::from(der);
            let anchor = anchor_from_trusted_cert(&certificate).ok()?.to_owned();
            Some((certificate, anchor))
        };
        let (certificates, anchors): (Vec<_>, Vec<_>) = certificates_der.into_iter().filter_map(root).unzip();
        Self { certificates: certificates.into(), anchors: anchors.into() }
    }

    pub fn from_pem(text: &str) -> Self {
        Self::new(pem_blocks(text).filter(|(label, _)| is_certificate(label)).filter_map(|(_, der)| der))
    }
}

/// Returns all certificates of a PEM bundle, or the one in a DER file. Stops at a damaged
/// certificate, because the next one would take its position.
pub fn certificates(text_or_der: &[u8]) -> Vec<Vec<u8>> {
    // DER starts with a sequence of more than 127 bytes, so its second byte is not ASCII.
    if matches!(text_or_der, [0x30, 0x80..=0xff, ..]) {
        return vec![text_or_der.to_vec()];
    }
    // Text between the blocks may be in any encoding.
    pem_blocks(&String::from_utf8_lossy(text_or_der))
        .filter(|(label, _)| is_certificate(label))
        .map_while(|(_, der)| der)
        .collect()
}

/// Returns the key of the first certificate of `chain`, if it leads to a root through the others in
/// `chain` and `further`.
///
/// # Errors
/// The reason why it is not trusted, with the URL of a missing issuer.
pub fn trusted_key(
    chain: &[u8],
    further: &[Vec<u8>],
    roots: &Roots,
    now: OffsetDateTime,
) -> Result<PublicKey, CertificateError> {
    let mut chain = certificates(chain).into_iter();
    let der = CertificateDer::from(chain.next().ok_or(CertificateError::Malformed)?);
    let signer = Certificate::from_der(&der).map_err(|_| CertificateError::Malformed)?;
    if !is_valid(&signer, now) {
        return Err(CertificateError::NotValidNow);
    }
    // A self-signed certificate has no chain, so it is trusted only if it is itself a root.
    if !roots.certificates.contains(&der) {
        let intermediates: Vec<CertificateDer<'_>> =
            chain.chain(further.iter().cloned()).take(MAX_INTERMEDIATES).map(CertificateDer::from).collect();
        verify_chain(&der, &intermediates, roots, now).map_err(|error| match error {
            Error::UnknownIssuer => missing_issuer(&signer, &intermediates),
            Error::CertExpired { .. } | Error::CertNotValidYet { .. } => CertificateError::NotValidNow,
            _ => CertificateError::Untrusted,
        })?;
    }
    PublicKey::of_certificate(&signer).map_err(|_| CertificateError::Malformed)
}

fn verify_chain(
    signer: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &Roots,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let now = u64::try_from(now.unix_timestamp()).map_err(|_| Error::BadDerTime)?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
    EndEntityCert::try_from(signer)?
        .verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &roots.anchors,
            intermediates,
            now,
            ServerOrClient,
            None,
            None,
        )
        .map(|_| ())
}

fn is_valid(certificate: &Certificate, now: OffsetDateTime) -> bool {
    let validity = certificate.tbs_certificate().validity();
    u64::try_from(now.unix_timestamp()).is_ok_and(|now| {
        (validity.not_before.to_unix_duration().as_secs()..=validity.not_after.to_unix_duration().as_secs())
            .contains(&now)
    })
}

/// Webhook certificates are issued for a server or a client; certificates only for mail or code
/// signing are rejected.
struct ServerOrClient;

impl ExtendedKeyUsageValidator for ServerOrClient {
    fn validate(&self, ids: KeyPurposeIdIter<'_, '_>) -> Result<(), Error> {
        const SERVER: KeyPurposeId<'_> = KeyPurposeId::new(&[43, 6, 1, 5, 5, 7, 3, 1]);
        const CLIENT: KeyPurposeId<'_> = KeyPurposeId::new(&[43, 6, 1, 5, 5, 7, 3, 2]);
        let mut present = Vec::new();
        for id in ids {
            let id = id?;
            if id == SERVER || id == CLIENT {
                return Ok(());
            }
            present.push(id.to_decoded_oid());
        }
        // A certificate without a purpose is valid for all purposes.
        if present.is_empty() {
            return Ok(());
        }
        let context = RequiredEkuNotFoundContext { required: KeyUsage::client_auth(), present };
        Err(Error::RequiredEkuNotFoundContext(context))
    }
}

/// Follows the chain from the signer to the certificate whose issuer is missing.
fn missing_issuer(signer: &Certificate, intermediates: &[CertificateDer<'_>]) -> CertificateError {
    let is_self_issued = |certificate: &Certificate| {
        certificate.tbs_certificate().issuer() == certificate.tbs_certificate().subject()
    };
    let intermediates: Vec<Certificate> =
        intermediates.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    let mut lower = signer;
    // Certificates can form a cycle.
    for _ in 0..=intermediates.len() {
        let name = lower.tbs_certificate().issuer();
        let named = || intermediates.iter().filter(|higher| higher.tbs_certificate().subject() == name);
        match named().find(|higher| !is_self_issued(higher)) {
            Some(higher) => lower = higher,
            // The chain is complete, but its root is not trusted.
            None if is_self_issued(lower) || named().next().is_some() => break,
            None => return CertificateError::IssuerMissing { url: issuer_url(lower) },
        }
    }
    CertificateError::Untrusted
}

fn issuer_url(certificate: &Certificate) -> Option<String> {
    let (_, access) =
        certificate.tbs_certificate().get_extension::<AuthorityInfoAccessSyntax>().ok().flatten()?;
    access.0.into_iter().filter(|entry| entry.access_method == CA_ISSUERS).find_map(|entry| {
        match entry.access_location {
            GeneralName::UniformResourceIdentifier(url) => Some(url.as_str().to_owned())
                .filter(|url| url.starts_with("http://") || url.starts_with("https://")),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests;
