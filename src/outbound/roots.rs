//! The certificates that this machine trusts.

/// Returns root certificates in DER; empty if the machine has none, so that no server is trusted.
pub fn system_roots() -> Vec<Vec<u8>> {
    let loaded = rustls_native_certs::load_native_certs();
    if loaded.certs.is_empty() {
        log::warn!(
            "no root certificates were found on this machine: certificates of providers cannot be checked"
        );
    }
    loaded.certs.into_iter().map(|certificate| certificate.as_ref().to_vec()).collect()
}
