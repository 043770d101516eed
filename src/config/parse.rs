//! Parses single values, without I/O. Errors describe the problem and a valid value; the caller
//! adds the variable's name.

use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::error::ValueError;
use super::types::{Allow, LogFormat, Rate, Retention};
use crate::providers::Secret;

const DAY_SECONDS: u64 = 24 * 60 * 60;
/// Keeps every sum of a time and a duration far below the largest representable date.
const MAX_DURATION_SECONDS: u64 = 36_500 * DAY_SECONDS;
const MAX_SHOWN_CHARACTERS: usize = 60;
const MIN_TOKEN_CHARACTERS: usize = 16;
const MIN_KEY_CHARACTERS: usize = 32;
const MIN_PATH_CHARACTERS: usize = 16;
const MAX_PATH_CHARACTERS: usize = 200;
const MAX_EVENT_CHARACTERS: usize = 200;
const MAX_RATE: u32 = 1_000_000;
const METHODS_HINT: &str = "write some of GET, POST, PUT, PATCH and DELETE";
const SECRET_HINT: &str = "`creel secret` makes a good one";
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Quotes a value for an error text, on one line and truncated. Must not be used for secrets.
pub fn shown(text: &str) -> String {
    let cut: String = text.chars().take(MAX_SHOWN_CHARACTERS).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{dots}")
}

/// Parses a duration such as `90s`, `15m`, `2h` or `7d`, and rejects zero.
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    let text = text.trim();
    let wrong = || {
        ValueError::new(format!("{} is not a duration", shown(text)))
            .hint("write a whole number and a unit, like 90s, 15m, 2h or 7d")
    };
    let (digits, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let unit_seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => DAY_SECONDS,
        _ => return Err(wrong()),
    };
    let seconds = digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(unit_seconds))
        .filter(|seconds| *seconds <= MAX_DURATION_SECONDS)
        .ok_or_else(|| too_long(text, "36500d"))?;
    if seconds == 0 {
        return Err(ValueError::new(format!("{} is zero", shown(text))).hint("write at least 1s"));
    }
    Ok(Duration::from_secs(seconds))
}

/// Parses a duration of at most `limit`, which errors show as `limit_text`.
pub fn duration_up_to(text: &str, limit: Duration, limit_text: &str) -> Result<Duration, ValueError> {
    let value = duration(text)?;
    if value > limit {
        return Err(too_long(text, limit_text));
    }
    Ok(value)
}

fn too_long(text: &str, limit: &str) -> ValueError {
    ValueError::new(format!("{} is too long", shown(text.trim()))).hint(format!("the longest is {limit}"))
}

/// Parses a duration, or `off` for no limit.
pub fn retention(text: &str) -> Result<Retention, ValueError> {
    if text.trim() == "off" {
        return Ok(Retention::Keep);
    }
    duration(text).map(Retention::For).map_err(|error| error.or("off to delete nothing because of its age"))
}

/// Parses a size such as `25MiB`, `64KiB` or `1GiB`, or a plain number of bytes, and rejects zero.
pub fn size(text: &str) -> Result<u64, ValueError> {
    let text = text.trim();
    let wrong = || {
        ValueError::new(format!("{} is not a size", shown(text)))
            .hint("write a whole number and a unit, like 64KiB, 25MiB or 1GiB, or plain bytes")
    };
    let (digits, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let unit_bytes: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    let bytes = digits
        .parse::<u64>()
        .ok()
        .and_then(|count| count.checked_mul(unit_bytes))
        .filter(|bytes| i64::try_from(*bytes).is_ok())
        .ok_or_else(|| ValueError::new(format!("{} is too large", shown(text))))?;
    if bytes == 0 {
        return Err(ValueError::new(format!("{} is zero", shown(text))).hint("write at least 1"));
    }
    Ok(bytes)
}

/// Parses a size of at least `min_bytes` and at most `max_bytes` bytes.
pub fn size_between(text: &str, min_bytes: u64, max_bytes: u64) -> Result<u64, ValueError> {
    let bytes = size(text)?;
    if bytes < min_bytes {
        return Err(ValueError::new(format!("{} is too small", shown(text.trim())))
            .hint(format!("the smallest is {min_bytes} bytes")));
    }
    if bytes > max_bytes {
        return Err(ValueError::new(format!("{} is too large", shown(text.trim())))
            .hint(format!("the largest is {max_bytes} bytes")));
    }
    Ok(bytes)
}

/// Returns the leading digits and the rest; `None` if there are no digits.
fn number_and_unit(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// Parses a rate such as `50/s`, `100/m` or `1000/h`.
pub fn rate(text: &str) -> Result<Rate, ValueError> {
    let text = text.trim();
    let wrong = || {
        ValueError::new(format!("{} is not a rate", shown(text)))
            .hint("write a count and a unit of time, like 50/s, 100/m or 1000/h")
    };
    let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
    let per = match unit {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(60 * 60),
        _ => return Err(wrong()),
    };
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    match count.parse::<u32>() {
        Ok(0) => Err(ValueError::new(format!("{} allows no requests", shown(text))).hint("write at least 1")),
        Ok(count) if count <= MAX_RATE => Ok(Rate { count, per }),
        _ => Err(ValueError::new(format!("{} is too large", shown(text)))
            .hint(format!("the largest count is {MAX_RATE}"))),
    }
}

pub fn on_off(text: &str) -> Result<bool, ValueError> {
    match text.trim() {
        "on" => Ok(true),
        "off" => Ok(false),
        other => {
            Err(ValueError::new(format!("{} is neither on nor off", shown(other))).hint("write one of them"))
        }
    }
}

pub fn yes_no(text: &str) -> Result<bool, ValueError> {
    match text.trim() {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => {
            Err(ValueError::new(format!("{} is neither yes nor no", shown(other))).hint("write one of them"))
        }
    }
}

pub fn log_format(text: &str) -> Result<LogFormat, ValueError> {
    match text.trim() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => {
            Err(ValueError::new(format!("{} is not a log format", shown(other))).hint("write text or json"))
        }
    }
}

/// Parses an `env_logger` filter. A single word that is not a level is rejected, because
/// `env_logger` would read it as a module name and silence everything else.
pub fn log_filter(text: &str) -> Result<String, ValueError> {
    let text = text.trim();
    for directive in text.split(',') {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        if !LOG_LEVELS.contains(&level.trim().to_ascii_lowercase().as_str()) {
            return Err(ValueError::new(format!("{} is not a level", shown(level.trim())))
                .hint("write off, error, warn, info, debug or trace, or module=level, with commas between"));
        }
    }
    Ok(text.to_owned())
}

pub fn socket_address(text: &str) -> Result<SocketAddr, ValueError> {
    text.trim().parse().map_err(|error: AddrParseError| {
        ValueError::new(format!("{} is not an address with a port", shown(text.trim())))
            .hint("write it like 127.0.0.1:8080 or [::1]:8080 (a number, not a host name)")
            .caused_by(error)
    })
}

pub fn database(text: &str) -> Result<PathBuf, ValueError> {
    let text = text.trim();
    if text.ends_with('/') || text.starts_with("file:") || text.starts_with(':') {
        return Err(ValueError::new(format!("{} is not the path of a file", shown(text)))
            .hint("write it like data/creel.db"));
    }
    Ok(PathBuf::from(text))
}

/// Parses an absolute http(s) URL, and removes trailing slashes. The error does not repeat the
/// value, which may contain a password.
pub fn base_url(text: &str) -> Result<String, ValueError> {
    let parsed = web_url(text)?;
    if parsed.query().is_some() {
        return Err(ValueError::new("has a query").hint("remove the ? and the text after it"));
    }
    Ok(text.trim().trim_end_matches('/').to_owned())
}

/// Parses an absolute http(s) URL, and removes white space around it.
pub fn http_url(text: &str) -> Result<String, ValueError> {
    web_url(text)?;
    Ok(text.trim().to_owned())
}

fn web_url(text: &str) -> Result<url::Url, ValueError> {
    let wrong = || {
        ValueError::new("is not an absolute http or https URL")
            .hint("write it like https://hooks.example.com")
    };
    let text = text.trim();
    let parsed = url::Url::parse(text).map_err(|error| wrong().caused_by(error))?;
    // The parser corrects `https:/host` and white space in the middle, but the provider receives
    // the text as typed.
    let slashes = text.get(parsed.scheme().len()..).is_some_and(|rest| rest.starts_with("://"));
    let is_web = matches!(parsed.scheme(), "http" | "https");
    if !is_web || !slashes || parsed.host_str().is_none() || text.contains(char::is_whitespace) {
        return Err(wrong());
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(ValueError::new("holds a user name or password").hint("leave it off"));
    }
    if parsed.fragment().is_some() {
        return Err(ValueError::new("has a fragment").hint("remove the # and the text after it"));
    }
    Ok(parsed)
}

/// Parses CIDRs and single addresses. `0.0.0.0/0` and `::/0` are rejected, because they allow every
/// address.
pub fn networks(text: &str) -> Result<Vec<IpNet>, ValueError> {
    let nets = text.split_whitespace().map(network).collect::<Result<Vec<_>, _>>()?;
    if nets.is_empty() {
        return Err(ValueError::new("is an empty list").hint("write CIDRs or addresses, like 192.0.2.0/24"));
    }
    Ok(nets)
}

fn network(word: &str) -> Result<IpNet, ValueError> {
    let parsed = word
        .parse::<IpNet>()
        .map(|net| unmapped(net.trunc()))
        .or_else(|_| word.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical())));
    match parsed {
        Ok(net) if net.prefix_len() == 0 => {
            Err(ValueError::new(format!("{} includes every address", shown(word)))
                .hint("name only the trusted ones"))
        }
        Ok(net) => Ok(net),
        Err(error) => Err(ValueError::new(format!("{} is not a CIDR or address", shown(word)))
            .hint("write it like 192.0.2.0/24 or 2001:db8::7, with white space between")
            .caused_by(error)),
    }
}

/// Converts an IPv4-mapped IPv6 network to IPv4, because the addresses of clients are converted
/// too.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let mapped = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    mapped.and_then(|(v4, prefix)| IpNet::new(v4.into(), prefix).ok()).unwrap_or(net)
}

/// Parses networks like `networks`, and also the word `github`, which is only for the provider
/// `github`. `provider`: `None` if it is invalid, which skips that check.
pub fn allowlist(text: &str, provider: Option<&str>) -> Result<Allow, ValueError> {
    let (words, rest): (Vec<&str>, Vec<&str>) = text.split_whitespace().partition(|word| *word == "github");
    let github = !words.is_empty();
    if let Some(provider) = provider.filter(|provider| github && *provider != "github") {
        return Err(ValueError::new(
            "contains github, which stands for GitHub's addresses and needs the provider github",
        )
        .hint(format!("this source's provider is {provider}")));
    }
    let nets = if github && rest.is_empty() { Vec::new() } else { networks(&rest.join(" "))? };
    Ok(Allow { nets, github })
}

/// Parses methods into upper case, without duplicates.
pub fn methods(text: &str) -> Result<Vec<String>, ValueError> {
    let mut methods: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let method = word.to_ascii_uppercase();
        if !matches!(method.as_str(), "GET" | "POST" | "PUT" | "PATCH" | "DELETE") {
            return Err(ValueError::new(format!("{} is not supported", shown(word))).hint(METHODS_HINT));
        }
        if !methods.contains(&method) {
            methods.push(method);
        }
    }
    if methods.is_empty() {
        return Err(ValueError::new("is an empty list").hint(METHODS_HINT));
    }
    Ok(methods)
}

/// Parses the names of the events that the app may emit, without duplicates.
pub fn events(text: &str) -> Result<Vec<String>, ValueError> {
    let mut events: Vec<String> = Vec::new();
    for name in text.split_whitespace() {
        check_event(name)?;
        if !events.iter().any(|event| event == name) {
            events.push(name.to_owned());
        }
    }
    Ok(events)
}

/// Validates the name of an event that the app may emit.
fn check_event(name: &str) -> Result<(), ValueError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    match !name.is_empty() && name.bytes().all(allowed) && name.len() <= MAX_EVENT_CHARACTERS {
        true => Ok(()),
        false => Err(ValueError::new(format!("contains the invalid event name {}", shown(name))).hint(format!(
            "a name consists of A-Z, a-z, 0-9, _, . and -, and is at most {MAX_EVENT_CHARACTERS} characters long"
        ))),
    }
}

/// Parses a token that is valid in a header field.
pub fn token(text: &str) -> Result<Secret, ValueError> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = "contains white space or other characters that are invalid in a header";
        return Err(ValueError::new(problem).hint(SECRET_HINT));
    }
    if text.len() < MIN_TOKEN_CHARACTERS {
        let problem = format!("is shorter than {MIN_TOKEN_CHARACTERS} characters and could be guessed");
        return Err(ValueError::new(problem).hint(SECRET_HINT));
    }
    Ok(Secret::new(text))
}

pub fn key(text: &str) -> Result<Secret, ValueError> {
    if text.chars().count() < MIN_KEY_CHARACTERS {
        let problem = format!("is shorter than {MIN_KEY_CHARACTERS} characters");
        return Err(ValueError::new(problem).hint(SECRET_HINT));
    }
    Ok(Secret::new(text))
}

/// Parses the random part of a source's URL.
pub fn path(text: &str) -> Result<Secret, ValueError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !text.bytes().all(allowed) {
        let problem = "may hold only A-Z, a-z, 0-9, _ and -, without slashes";
        return Err(ValueError::new(problem).hint(SECRET_HINT));
    }
    if !(MIN_PATH_CHARACTERS..=MAX_PATH_CHARACTERS).contains(&text.len()) {
        let problem = format!(
            "must be {MIN_PATH_CHARACTERS} to {MAX_PATH_CHARACTERS} characters long; a shorter one could be guessed"
        );
        return Err(ValueError::new(problem).hint(SECRET_HINT));
    }
    Ok(Secret::new(text))
}

/// Parses a 2xx status: senders retry after any other status.
pub fn reply_status(text: &str) -> Result<u16, ValueError> {
    text.trim().parse::<u16>().ok().filter(|status| (200..=299).contains(status)).ok_or_else(|| {
        ValueError::new(format!("{} is not a status from 200 to 299", shown(text.trim())))
            .hint("senders retry after any other status")
    })
}
