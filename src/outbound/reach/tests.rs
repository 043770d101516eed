//! Checks of URLs in the API.

use super::*;
use crate::outbound::loopback::run;

fn public() -> Reach {
    Reach::Public { allowed: Arc::new([]) }
}

#[test]
fn url_error_has_the_cause_and_omits_the_url() {
    let rows = [
        ("hush", "not a URL: relative URL without a base"),
        ("http://", "not a URL: empty host"),
        ("http://ho st/hush", "not a URL: invalid international domain name"),
        ("ftp://hush/", "the URL must begin with http:// or https://"),
        ("file:///etc/hush", "the URL must begin with http:// or https://"),
        ("http://user@8.8.8.8/", "the URL must not hold a user name or a password: send them in a header"),
        ("http://:hush@8.8.8.8/", "the URL must not hold a user name or a password: send them in a header"),
        ("http://8.8.8.8/#hush", "the URL must not contain a fragment (#…): it is never sent"),
        (
            "http://10.0.0.1/hush",
            "the address 10.0.0.1 is private: a URL given to the API may lead only to public addresses; the operator \
             can allow a network with CREEL_TARGET_ALLOW_IPS",
        ),
    ];
    for (url, text) in rows {
        assert_eq!(run(vet_url(url, &public())).unwrap_err().to_string(), text, "{url}");
    }
    for url in ["http://8.8.8.8/hook?token=x", "HTTPS://[2606:4700::1111]:8443"] {
        assert_eq!(run(vet_url(url, &public())), Ok(()), "{url}");
    }
}
