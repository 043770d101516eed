//! Checks the `Host` of requests that need no token. In a DNS rebinding attack, the attacker's
//! domain resolves to creel's address, and the browser sends that domain as `Host`. A name that
//! does not exist in public DNS cannot be the attacker's.

use std::net::IpAddr;

use actix_web::http::header::{HOST, HeaderMap};

/// Suffixes of names that do not exist in public DNS.
const PRIVATE_SUFFIXES: [&str; 5] = [".localhost", ".local", ".internal", ".home.arpa", ".svc"];

/// Whether a request addresses an IP address, a name of the private network (`creel`,
/// `creel.monitoring.svc`), or the host of `CREEL_PUBLIC_URL`. Browsers always send a host, so a
/// request without a host is safe.
pub fn is_own(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    let Some(host) = headers.get(HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = name(host).trim_end_matches('.').to_ascii_lowercase();
    let public = public_url.and_then(|url| url::Url::parse(url).ok());
    let is_address = name.parse::<IpAddr>().is_ok();
    let is_single_label = !name.contains('.') && !name.is_empty();
    is_address
        || is_single_label
        || PRIVATE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || public.as_ref().and_then(url::Url::host_str) == Some(&*name)
}

/// Returns the host without its port and IPv6 brackets.
fn name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn is_own_host(host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        is_own(&headers, Some("https://Hooks.Example.com:8443/a"))
    }

    #[test]
    fn addresses_and_private_names_are_own() {
        for host in [
            "127.0.0.1:9090",
            "10.1.2.3",
            "[::1]:9090",
            "[fd00::1]",
            "localhost:9090",
            "LOCALHOST",
            "creel:9090",
            "creel.monitoring.svc.cluster.local",
            "creel.monitoring.svc:9090",
            "box.internal.",
            "hooks.example.com:8443",
        ] {
            assert!(is_own_host(host), "{host}");
        }
        assert!(is_own(&HeaderMap::new(), None));
    }

    #[test]
    fn public_names_are_not_own() {
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:9090",
            "evil.example:9090",
            "hooks.example.com.evil.example",
            "xlocal.com",
            "",
            ":9090",
            "[evil.example]",
        ] {
            assert!(!is_own_host(host), "{host}");
        }
    }
}
