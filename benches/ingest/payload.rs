//! The requests: bodies and headers as GitHub sends them, signed once, with a new delivery id in
//! each request.

use std::fmt::Write as _;

use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::Outcome;

pub const SECRET: &str = "a secret of the benchmark, as long as GitHub advises";
pub const PATH: &str = "/webhooks/github";
/// An event to which creel replies 204 without a body (a push or a ping would be answered with
/// text).
pub const EVENT: &str = "issues";

/// The body sizes of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodySize {
    /// Only in the section `growth`.
    Tiny,
    Small,
    Large,
}

impl BodySize {
    pub const BOTH: [Self; 2] = [Self::Small, Self::Large];

    pub fn bytes(self) -> usize {
        match self {
            Self::Tiny => 200,
            Self::Small => 1_000,
            Self::Large => 5_400,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "200 B",
            Self::Small => "1 kB",
            Self::Large => "5.4 kB",
        }
    }
}

/// Number of sources in the section `many`, all with the same secret.
pub const MANY: usize = 1_000;
/// Start of their names, which end with three digits.
pub const MANY_PREFIX: &str = "repo-";
const MANY_DIGITS: usize = 3;

/// One signed request whose delivery id and source can be replaced in place: the signature does not
/// cover them.
#[derive(Clone, Debug)]
pub struct Request {
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub bytes: Vec<u8>,
    id_at: usize,
    /// Position of the source's number in the path, for requests to many sources.
    source_at: Option<usize>,
}

impl Request {
    /// `number` makes the body distinct from those of other connections.
    pub fn new(size: BodySize, number: usize) -> Self {
        Self::to_path(PATH, size, number)
    }

    /// Returns a request that `renew` sends to another of the many sources each time.
    pub fn to_many(size: BodySize, number: usize) -> Self {
        let path = format!("/webhooks/{MANY_PREFIX}{:0MANY_DIGITS$}", 0);
        let mut request = Self::to_path(&path, size, number);
        request.source_at = Some("POST ".len() + path.len() - MANY_DIGITS);
        request
    }

    fn to_path(path: &str, size: BodySize, number: usize) -> Self {
        let body = body(size.bytes(), number);
        let sha1 = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
        let sha256 = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let headers = vec![
            ("Host", "hooks.example.com".to_owned()),
            ("User-Agent", "GitHub-Hookshot/7bb3c0a".to_owned()),
            ("Accept", "*/*".to_owned()),
            ("Content-Type", "application/json".to_owned()),
            ("Content-Length", body.len().to_string()),
            ("X-GitHub-Delivery", "00000000-0000-0000-0000-000000000000".to_owned()),
            ("X-GitHub-Event", EVENT.to_owned()),
            ("X-GitHub-Hook-ID", "292430182".to_owned()),
            ("X-GitHub-Hook-Installation-Target-ID", "79929171".to_owned()),
            ("X-GitHub-Hook-Installation-Target-Type", "repository".to_owned()),
            ("X-Hub-Signature", format!("sha1={}", hex(hmac::sign(&sha1, body.as_bytes()).as_ref()))),
            ("X-Hub-Signature-256", format!("sha256={}", hex(hmac::sign(&sha256, body.as_bytes()).as_ref()))),
        ];
        let mut head = format!("POST {path} HTTP/1.1\r\n");
        let mut id_at = 0;
        for (name, value) in &headers {
            if *name == "X-GitHub-Delivery" {
                id_at = head.len() + name.len() + 2;
            }
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        let bytes = [head.as_bytes(), body.as_bytes()].concat();
        Self { headers, body, bytes, id_at, source_at: None }
    }

    /// Size of the content that creel stores: names and values of the headers, and the body,
    /// without separators.
    pub fn content_bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        headers + self.body.len()
    }

    /// Sets a new delivery id and, for requests to many sources, a random source.
    pub fn renew(&mut self, ids: &mut DeliveryIds) {
        ids.write(&mut self.bytes[self.id_at..self.id_at + DeliveryIds::LENGTH]);
        if let Some(at) = self.source_at {
            let mut source = ids.next() % MANY as u64;
            for digit in self.bytes[at..at + MANY_DIGITS].iter_mut().rev() {
                *digit = b'0' + (source % 10) as u8;
                source /= 10;
            }
        }
    }

    /// Sets the delivery id of another message.
    pub fn set_delivery_id(&mut self, id: &[u8; DeliveryIds::LENGTH]) {
        self.bytes[self.id_at..self.id_at + DeliveryIds::LENGTH].copy_from_slice(id);
    }
}

/// Random delivery ids in the form of a UUID, from a very cheap generator (SplitMix64).
#[derive(Debug)]
pub struct DeliveryIds {
    state: u64,
}

impl DeliveryIds {
    pub const LENGTH: usize = 36;

    pub fn new() -> Outcome<Self> {
        let mut seed = [0; 8];
        SystemRandom::new().fill(&mut seed).map_err(|_| "the system gives no random numbers")?;
        Ok(Self { state: u64::from_le_bytes(seed) })
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Overwrites the digits and leaves the hyphens, whose positions are fixed.
    pub fn write(&mut self, id: &mut [u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut random = (u128::from(self.next()) << 64) | u128::from(self.next());
        for byte in id.iter_mut().filter(|byte| **byte != b'-') {
            *byte = DIGITS[(random & 15) as usize];
            random >>= 4;
        }
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An `issues` event with a repository that has as many of GitHub's URLs as fit; the issue's text
/// fills the rest. Below 500 bytes only the title fills it.
fn body(size: usize, number: usize) -> String {
    const URLS: [&str; 36] = [
        "forks",
        "keys",
        "collaborators",
        "teams",
        "hooks",
        "issue_events",
        "events",
        "assignees",
        "branches",
        "tags",
        "blobs",
        "git_tags",
        "git_refs",
        "trees",
        "statuses",
        "languages",
        "stargazers",
        "contributors",
        "subscribers",
        "subscription",
        "commits",
        "git_commits",
        "comments",
        "issue_comment",
        "contents",
        "compare",
        "merges",
        "archive",
        "downloads",
        "issues",
        "pulls",
        "milestones",
        "notifications",
        "labels",
        "releases",
        "deployments",
    ];
    const TEXT: &str = "The nightly export stops after the third page when the list was changed meanwhile. ";
    let api = "https://api.github.com/repos/octo-org/warehouse";
    let issue = 1_000 + number;
    if size < 500 {
        let head = format!(r#"{{"action":"opened","issue":{{"number":{issue},"title":""#);
        let tail = r#""},"repository":{"full_name":"octo-org/warehouse"},"sender":{"login":"octocat"}}"#;
        let text: String = TEXT.chars().cycle().take(size - head.len() - tail.len()).collect();
        return format!("{head}{text}{tail}");
    }
    let tail = format!(
        r#""full_name":"octo-org/warehouse","private":true,"default_branch":"main"}},"sender":{{"login":"octocat","id":{},"node_id":"MDQ6VXNlcjU4MzIzMQ==","type":"User","site_admin":false}}}}"#,
        583_231 + number
    );
    let head = format!(
        r#"{{"action":"opened","issue":{{"url":"{api}/issues/{issue}","id":{},"number":{issue},"title":"Export stops early","state":"open","locked":false,"labels":[{{"id":208045946,"name":"bug","color":"f29513","default":true}}],"comments":0,"created_at":"2026-11-22T14:31:00Z","author_association":"MEMBER","body":""#,
        2_750_000_000_u64 + number as u64
    );
    let mut repository = r#""},"repository":{"id":79929171,"name":"warehouse","#.to_owned();
    for name in URLS {
        let url = format!(r#""{name}_url":"{api}/{name}{{/sha}}","#);
        if head.len() + repository.len() + url.len() + tail.len() + 100 <= size {
            repository.push_str(&url);
        }
    }
    let fill = size.saturating_sub(head.len() + repository.len() + tail.len());
    let text: String = TEXT.chars().cycle().take(fill).collect();
    format!("{head}{text}{repository}{tail}")
}
