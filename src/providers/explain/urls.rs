//! Changes of the URL between the provider and creel, for schemes that sign it.

use crate::content::request::Request;

use super::super::page::source_variable;
use super::checks::{Checks, TrialFinding, first_fit, unique};
use super::diagnosis::Trial;
use super::excerpt::Redactor;

/// Headers in which proxies forward the host that the client used.
const HOST_HEADERS: [&str; 4] = ["host", "x-forwarded-host", "x-host", "x-original-host"];
const PREFIX_HEADER: &str = "x-forwarded-prefix";
/// Limit on the hosts and prefixes that are read from headers.
const MAX_FORWARDED: usize = 6;

/// Tries one change of the URL; returns the advice if it fits.
pub fn try_url(checks: &Checks<'_>, trial: Trial, redactor: &Redactor<'_>) -> TrialFinding<String> {
    let request = checks.rejected.request;
    if request.url.is_empty() {
        return TrialFinding::Inapplicable;
    }
    let urls = unique(changed(request, trial)).into_iter().filter(|url| url != request.url);
    let fits = |url: &String| checks.verifies(checks.rejected.verifier, &Request { url, ..*request });
    first_fit(urls, fits).map(|url| {
        let place = url.split_once('?').map_or(url.as_str(), |(place, _)| place);
        let shown = redactor.show(place.as_bytes());
        format!(
            "The request verifies with the URL {shown}{}: set CREEL_PUBLIC_URL or {} to the URL that is registered with the provider, and let the proxy forward path and query unchanged.",
            note(trial),
            source_variable(checks.rejected.source, "url")
        )
    })
}

const fn note(trial: Trial) -> &'static str {
    match trial {
        Trial::UrlScheme => " (the other scheme of http and https)",
        Trial::UrlHost => " (as the proxy forwards it)",
        _ => " (another port, query, or slash at the end of the path)",
    }
}

fn changed(request: &Request<'_>, trial: Trial) -> Vec<String> {
    let url = UrlParts::of(request.url);
    match trial {
        Trial::UrlScheme => vec![url.with_scheme(url.other_scheme())],
        Trial::UrlHost => forwarded(request, &url),
        _ => other_forms(request, &url),
    }
}

/// The parts of a URL: `scheme://authority`, path, and query with its mark.
#[derive(Clone, Copy, Debug)]
struct UrlParts<'a> {
    scheme: &'a str,
    authority: &'a str,
    path: &'a str,
    query: &'a str,
}

impl<'a> UrlParts<'a> {
    /// Divides a URL. One without a host, such as `/webhooks/x`, has an empty scheme.
    fn of(url: &'a str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (place, query) = rest.find('?').map_or((rest, ""), |mark| rest.split_at(mark));
        let (authority, path) = place.find('/').map_or((place, ""), |slash| place.split_at(slash));
        Self { scheme, authority, path, query }
    }

    fn written(self) -> String {
        format!("{}://{}{}{}", self.scheme, self.authority, self.path, self.query)
    }

    fn other_scheme(&self) -> &'static str {
        if self.scheme == "https" { "http" } else { "https" }
    }

    fn with_scheme(self, scheme: &str) -> String {
        UrlParts { scheme, ..self }.written()
    }
}

/// Returns the URLs with each forwarded host, with and without a forwarded prefix, in both schemes.
fn forwarded(request: &Request<'_>, url: &UrlParts<'_>) -> Vec<String> {
    let values = |wanted: &'static [&str]| {
        let fields = request.headers.0.iter().filter(move |(name, _)| wanted.contains(name));
        let texts = fields.filter_map(|(_, value)| std::str::from_utf8(value).ok());
        texts.flat_map(|text| text.split(',').map(str::trim)).filter(|text| !text.is_empty())
    };
    let hosts: Vec<&str> = values(&HOST_HEADERS).take(MAX_FORWARDED).collect();
    let prefixes: Vec<&str> = values(&[PREFIX_HEADER]).take(1).collect();
    let paths: Vec<String> = std::iter::once(url.path.to_owned())
        .chain(prefixes.iter().map(|prefix| format!("{}{}", prefix.trim_end_matches('/'), url.path)))
        .collect();
    let hosts = hosts.into_iter().chain((!prefixes.is_empty()).then_some(url.authority));
    let hosts = hosts.filter(|host| !host.contains(['/', '?', '#', '@']));
    let urls = hosts.flat_map(|authority| {
        paths.iter().flat_map(move |path| {
            ["https", "http"].map(|scheme| UrlParts { scheme, authority, path, query: url.query }.written())
        })
    });
    urls.collect()
}

/// Returns the URLs with one other port, path end or query.
fn other_forms(request: &Request<'_>, url: &UrlParts<'_>) -> Vec<String> {
    let mut urls = Vec::new();
    let path = match url.path.strip_suffix('/') {
        Some(without) => without.to_owned(),
        None => format!("{}/", url.path),
    };
    urls.push(UrlParts { path: &path, ..*url }.written());
    match url.authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())) {
        Some((host, _)) => urls.push(UrlParts { authority: host, ..*url }.written()),
        None => {
            let authority = format!("{}:{}", url.authority, if url.scheme == "http" { 80 } else { 443 });
            urls.push(UrlParts { authority: &authority, ..*url }.written());
        }
    }
    let sent = format!("?{}", request.query);
    for query in ["", sent.as_str()] {
        urls.push(UrlParts { query, ..*url }.written());
    }
    // Proxies such as lighttpd rewrite percent-encoding.
    for query in [without_needless_escapes(url.query), with_lower_case_escapes(url.query)] {
        urls.push(UrlParts { query: &query, ..*url }.written());
    }
    urls
}

/// Decodes `%7E`, `%5B`, `%5D` and `%7C`.
fn without_needless_escapes(query: &str) -> String {
    let rows = [("%7E", "~"), ("%5B", "["), ("%5D", "]"), ("%7C", "|")];
    rows.iter().fold(query.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

fn with_lower_case_escapes(query: &str) -> String {
    let mut pieces = query.split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text.push('%');
        let end = piece.char_indices().nth(2).map_or(piece.len(), |(end, _)| end);
        text.push_str(&piece[..end].to_ascii_lowercase());
        text.push_str(&piece[end..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_divided_and_written() {
        for url in ["https://h.example:8443/a/b?c=d", "http://h", "https://h?x", "https://h/?"] {
            assert_eq!(UrlParts::of(url).written(), url);
        }
        let bare = UrlParts::of("/webhooks/x?y");
        assert_eq!((bare.scheme, bare.authority, bare.path, bare.query), ("", "", "/webhooks/x", "?y"));
    }

    #[test]
    fn escapes_are_rewritten_as_proxies_do() {
        assert_eq!(without_needless_escapes("?a%5B1%5D=%7E%C3"), "?a[1]=~%C3");
        assert_eq!(with_lower_case_escapes("?A=%C3%BC&B=%é"), "?A=%c3%bc&B=%é");
    }
}
