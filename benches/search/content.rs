//! The messages: about 1 kB each, in the shapes of GitHub, Stripe and a shop. A message is a
//! function of its number, so a query can be derived from any of them.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use creel::testing::{Identity, MessageContent, NewMessage};
use ring::digest::{SHA256, digest};
use time::OffsetDateTime;

pub const SOURCES: u64 = 24;
/// Each message has one label.
pub const LABELS: u64 = 40;
/// Versions in the header `user-agent`.
const VERSIONS: u64 = 300;
const VOCABULARY: u64 = 5_000;
const BODY_BYTES: usize = 1_000;
/// The messages are spread evenly over this time before now, within the default retention.
const AGE: Duration = Duration::from_secs(3 * 86_400);
const SHAPES: [&str; 3] = ["github", "stripe", "shop"];
const AGENTS: [&str; 3] = ["GitHub-Hookshot", "Stripe", "Shop-Webhooks"];
const STATUSES: [&str; 4] = ["paid", "failed", "pending", "refunded"];
#[rustfmt::skip]
const EVENT_TYPES: [[&str; 13]; 3] = [
    ["issues.opened", "issues.closed", "push", "release.published", "pull_request.opened", "pull_request.closed", "star",
     "fork", "watch", "deployment", "check_run.completed", "issue_comment.created", "workflow_run.completed"],
    ["charge.succeeded", "charge.failed", "charge.refunded", "invoice.paid", "invoice.created", "invoice.voided",
     "payout.paid", "customer.created", "customer.updated", "customer.deleted", "payment_intent.created",
     "payment_intent.succeeded", "checkout.session.completed"],
    ["order.created", "order.paid", "order.refunded", "order.shipped", "order.cancelled", "cart.updated", "product.created",
     "product.updated", "stock.low", "customer.joined", "customer.left", "return.opened", "return.closed"],
];

/// SplitMix64.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns groups of 16 hexadecimal digits.
    fn hex(&mut self, groups: usize) -> String {
        (0..groups).fold(String::new(), |mut text, _| {
            let _ = write!(text, "{:016x}", self.next());
            text
        })
    }
}

/// A message, and the parts of it that queries use.
#[derive(Debug)]
pub struct Sample<'g> {
    pub object_id: String,
    pub amount: u64,
    /// Adjacent words of the body.
    pub words: Vec<&'g str>,
    source: u64,
    event: String,
    headers: String,
    delivery_id: String,
    payload: String,
}

#[derive(Debug)]
pub struct Generator {
    vocabulary: Vec<String>,
    /// For each word, the sum of the weights up to it.
    weights: Vec<f64>,
    begin: OffsetDateTime,
    interval: Duration,
}

impl Generator {
    /// `messages` is the number of all messages.
    pub fn new(messages: u64) -> Self {
        let weights = (1..=VOCABULARY).scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        });
        Self {
            vocabulary: (0..VOCABULARY).map(vocabulary_word).collect(),
            weights: weights.collect(),
            begin: OffsetDateTime::now_utc() - AGE,
            interval: AGE.div_f64(messages as f64),
        }
    }

    /// Returns a word by its rank: the word of rank 0 is the most common one.
    pub fn word(&self, rank: u64) -> &str {
        &self.vocabulary[rank as usize]
    }

    pub fn received_at(&self, number: u64) -> OffsetDateTime {
        self.begin + self.interval.mul_f64(number as f64)
    }

    fn random_word(&self, random: &mut Random) -> &str {
        let sum = self.weights.last().copied().unwrap_or_default();
        let point = random.next() as f64 / u64::MAX as f64 * sum;
        let rank = self.weights.partition_point(|weight| *weight < point);
        &self.vocabulary[rank.min(self.vocabulary.len() - 1)]
    }

    pub fn sample(&self, number: u64) -> Sample<'_> {
        let mut random = Random(number.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let event_number = random.next() % (SOURCES * 13);
        let source = event_number % SOURCES;
        let shape = (source % 3) as usize;
        let object_id = random.hex(2)[..24].to_owned();
        let (amount, hex) = (100 + random.next() % 100_000, random.hex(2));
        let delivery_id =
            format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        let status = STATUSES[(random.next() % 4) as usize];
        let label = label(random.next() % LABELS);
        let [first, second] = [(); 2].map(|()| self.random_word(&mut random));
        let (head, tail) = match shape {
            0 => (
                format!(
                    r#"{{"action":"opened","issue":{{"id":{},"node_id":"I_{object_id}","number":{amount},"title":"{first} {second}","state":"open","status":"{status}","locked":false,"labels":[{{"id":208045946,"name":"{label}","default":true}}],"comments":{},"author_association":"MEMBER","body":""#,
                    2_750_000_000 + number,
                    number % 9
                ),
                format!(
                    r#""}},"repository":{{"id":79929171,"full_name":"octo-org/{second}","private":true,"default_branch":"main"}},"sender":{{"login":"{first}","id":{},"type":"User","site_admin":false}}}}"#,
                    583_231 + number % 5_000
                ),
            ),
            1 => (
                format!(
                    r#"{{"id":"evt_{object_id}","object":"event","api_version":"2026-01-28","livemode":true,"pending_webhooks":1,"data":{{"object":{{"id":"ch_{}","object":"charge","amount":{amount},"currency":"eur","customer":"cus_{}","status":"{status}","captured":true,"metadata":{{"team":"{label}"}},"billing_details":{{"name":"{first} {second}"}},"description":""#,
                    random.hex(1),
                    number % 20_000
                ),
                r#""}},"request":{"id":null,"idempotency_key":null}}"#.to_owned(),
            ),
            _ => (
                format!(
                    r#"{{"order":{{"id":"ORD-{object_id}","status":"{status}","amount":{amount},"currency":"EUR","lines":[{{"sku":"SKU-{}","title":"{first} {second}","quantity":{},"price":{}.5}}]}},"customer":{{"id":{},"name":"{second} {first}","email":"{first}@{second}.example"}},"team":"{label}","note":""#,
                    number % 3_000,
                    1 + number % 4,
                    amount / 100,
                    number % 20_000
                ),
                r#"","channel":"web","test":false}"#.to_owned(),
            ),
        };
        let (mut payload, mut words) = (head, Vec::new());
        while words.len() < 4 || payload.len() + tail.len() < BODY_BYTES {
            let word = self.random_word(&mut random);
            payload.extend((!words.is_empty()).then_some(' '));
            payload.push_str(word);
            words.push(word);
        }
        payload.push_str(&tail);
        let headers = format!(
            r#"{{"accept":"*/*","content-length":"{}","content-type":"application/json","host":"hooks.example.com","user-agent":"{}/{}","x-github-delivery":"{delivery_id}","x-github-event":"issues","x-github-hook-id":"292430182","x-github-hook-installation-target-id":"79929171","x-github-hook-installation-target-type":"repository","x-hub-signature-256":"sha256={}"}}"#,
            payload.len(),
            AGENTS[shape],
            version(random.next() % VERSIONS),
            random.hex(4)
        );
        let event = event(event_number);
        Sample { object_id, amount, words, source, event, headers, delivery_id, payload }
    }
}

impl Sample<'_> {
    pub fn into_new_message(self, received_at: OffsetDateTime) -> NewMessage {
        let mut body_sha256 = [0; 32];
        body_sha256.copy_from_slice(digest(&SHA256, self.payload.as_bytes()).as_ref());
        NewMessage {
            received_at,
            source: source(self.source).into(),
            event: self.event,
            owner: None,
            identity: Identity::DeliveryId(self.delivery_id),
            method: "POST".to_owned(),
            query: None,
            remote_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            headers: self.headers,
            content: MessageContent::Json(Bytes::from(self.payload)),
            body_sha256,
            body_unsigned: false,
            unverified: false,
            confirmation_request: None,
        }
    }
}

pub fn source(number: u64) -> String {
    format!("{}-{}", SHAPES[(number % 3) as usize], number / 3)
}

/// Returns one of 312 events.
pub fn event(number: u64) -> String {
    let source_number = number % SOURCES;
    let types = &EVENT_TYPES[(source_number % 3) as usize];
    format!("{}.{}", source(source_number), types[(number / SOURCES) as usize])
}

pub fn label(number: u64) -> String {
    format!("label{number:02}")
}

pub fn version(number: u64) -> String {
    format!("{:07x}", 0x044_aadd + number * 0x3_1b07)
}

/// Returns a word of two or three syllables. Words of different numbers differ in the first two.
fn vocabulary_word(number: u64) -> String {
    let two = number * 7_919 % 10_000;
    let last = if number % 2 == 1 { syllable(number / 2 % 100) } else { String::new() };
    format!("{}{}{last}", syllable(two / 100), syllable(two % 100))
}

fn syllable(number: u64) -> String {
    let (consonant, vowel) = ((number / 5) as usize, (number % 5) as usize);
    [b"bcdfghjklmnpqrstvwxz"[consonant], b"aeiou"[vowel]].map(char::from).iter().collect()
}
