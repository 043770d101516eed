//! `creel messages`: lists the stored messages of a service.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::listen::understood;
use super::output::{Failure, harmless, print_to_reader};
use super::remote::{Address, with_query};
use super::send::block_on;

/// Limit of the service on items in one page.
const PAGE: usize = 200;

/// Filters and output format.
#[derive(Debug, clap::Args)]
pub struct Messages {
    /// Only of this source.
    #[arg(long)]
    source: Option<String>,

    /// Only these events, such as 'github.*'.
    #[arg(long, value_name = "PATTERN")]
    event: Option<String>,

    /// Received then or later, such as 2h or 2026-11-22T14:31:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Received before.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// With exactly this text in the body; needs the admin token.
    #[arg(long)]
    text: Option<String>,

    /// Only those emitted for this owner.
    #[arg(long)]
    owner: Option<String>,

    /// Only those with a dead letter: a delivery that failed for good and was not replayed.
    #[arg(long)]
    dead: bool,

    /// Limit on the number of messages, newest first.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Print the service's JSON for each message, one per line.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    address: Address,
}

#[derive(Debug, Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<i64>,
}

/// Fields of a message shown in a line.
#[derive(Debug, Deserialize)]
pub struct Head {
    pub id: i64,
    pub received_at: String,
    pub source: String,
    pub event: String,
    pub owner: Option<String>,
    pub delivery_id: Option<String>,
    pub method: String,
    pub query: Option<String>,
    pub remote_ip: String,
    /// `None` with the read token.
    pub body_sha256: Option<String>,
    pub body_bytes: u64,
    pub not_json: bool,
    /// Why filters were not evaluated; absent from responses of older services.
    #[serde(default)]
    pub unreadable: Option<String>,
    pub body_unsigned: bool,
    pub unverified: bool,
    pub conflict_of: Option<i64>,
    pub duplicates: i64,
    pub confirmation: Option<String>,
}

impl Head {
    pub fn read(text: &str) -> Result<Self, Failure> {
        understood(text)
    }

    /// Formats one line that ends with the unusual properties.
    pub fn line(&self) -> String {
        let mut parts = vec![
            format!("#{}", self.id),
            seconds(&self.received_at),
            self.event.clone(),
            size(self.body_bytes),
        ];
        parts.extend(self.owner.as_ref().map(|owner| format!("owner={owner}")));
        parts.extend(self.remarks());
        format!("{}\n", harmless(&parts.join("  ").replace(['\n', '\t'], " ")))
    }

    /// An empty body needs no remark: its size shows it.
    fn unreadable_remark(&self) -> Option<String> {
        match self.unreadable.as_deref() {
            Some("empty") => None,
            Some("not_json") => Some("not-json".to_owned()),
            Some(reason) => Some(format!("unreadable={}", reason.replace('_', "-"))),
            None => self.not_json.then(|| "not-json".to_owned()),
        }
    }

    /// Returns the properties that most messages do not have.
    pub fn remarks(&self) -> Vec<String> {
        let flag = |is_so: bool, word: &str| is_so.then(|| word.to_owned());
        let confirmation = self.confirmation.clone().filter(|state| state != "confirmed");
        let all = [
            confirmation,
            self.unreadable_remark(),
            flag(self.body_unsigned, "body-unsigned"),
            flag(self.unverified, "unverified"),
            self.conflict_of.map(|of| format!("conflict-of=#{of}")),
            (self.duplicates > 0).then(|| format!("duplicates={}", self.duplicates)),
        ];
        all.into_iter().flatten().collect()
    }
}

/// Cuts a timestamp after its seconds.
pub fn seconds(timestamp: &str) -> String {
    match timestamp.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => timestamp.to_owned(),
    }
}

pub fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// Prints each page as it arrives.
pub fn run(arguments: &Messages) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    let mut left = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let mut cursor: Option<i64> = None;
    block_on(async {
        while left > 0 {
            let page: Page = remote.get(&arguments.path(left.min(PAGE), cursor)).await?;
            for item in page.items.iter().take(left) {
                let text =
                    if arguments.json { format!("{}\n", item.get()) } else { Head::read(item.get())?.line() };
                if !print_to_reader(&text) {
                    return Ok(String::new());
                }
            }
            left = left.saturating_sub(page.items.len());
            // A page may be short, or empty, and still not be the last.
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        Ok(String::new())
    })?
}

impl Messages {
    fn path(&self, limit: usize, cursor: Option<i64>) -> String {
        let (limit, cursor) = (limit.to_string(), cursor.map(|cursor| cursor.to_string()));
        with_query(
            "/messages",
            &[
                ("source", self.source.as_deref()),
                ("event", self.event.as_deref()),
                ("since", self.since.as_deref()),
                ("until", self.until.as_deref()),
                ("text", self.text.as_deref()),
                ("owner", self.owner.as_deref()),
                ("dead", self.dead.then_some("true")),
                ("limit", Some(&limit)),
                ("cursor", cursor.as_deref()),
            ],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_shows_remarks_without_terminal_controls() {
        let plain = r#"{"id":7,"received_at":"2026-11-22T14:31:00.123456Z","source":"github","event":"github.push",
            "owner":null,"delivery_id":"x","method":"POST","query":null,"remote_ip":"192.0.2.7","body_sha256":"ab",
            "body_bytes":1234,"not_json":false,"body_unsigned":false,"unverified":false,"conflict_of":null,
            "duplicates":0,"last_duplicate_at":null,"confirmation":null}"#;
        let line = |text: &str| Head::read(text).expect("a head").line();
        assert_eq!(line(plain), "#7  2026-11-22T14:31:00Z  github.push  1234 B\n");
        let odd = plain
            .replace("github.push", "github.\\u001b[31m\\n")
            .replace(r#""conflict_of":null"#, r#""conflict_of":3"#)
            .replace(r#""duplicates":0"#, r#""duplicates":2"#)
            .replace(r#""confirmation":null"#, r#""confirmation":"awaiting""#);
        let expected =
            "#7  2026-11-22T14:31:00Z  github.\\u{1b}[31m   1234 B  awaiting  conflict-of=#3  duplicates=2\n";
        assert_eq!(line(&odd), expected);
    }

    #[test]
    fn sizes_are_short() {
        let rows = [(0, "0 B"), (9_999, "9999 B"), (10_000, "10 kB"), (25_000_000, "25 MB")];
        for (bytes, text) in rows {
            assert_eq!(size(bytes), text);
        }
    }
}
