//! Classifies the first bytes of a connection for the log, to recognize two mistakes in a proxy's
//! configuration.

/// The protocol that the first bytes of a connection suggest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    #[default]
    Http,
    Tls,
    ProxyProtocol,
}

impl Opening {
    pub fn of(bytes: &[u8]) -> Self {
        let is_proxy_protocol = bytes.starts_with(b"PROXY ") || bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n");
        match bytes {
            _ if is_proxy_protocol => Self::ProxyProtocol,
            // A record of the handshake, of any version of TLS.
            [0x16, 0x03, ..] => Self::Tls,
            _ => Self::Http,
        }
    }
}
