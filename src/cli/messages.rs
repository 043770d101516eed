//! `creel messages`: lists the stored messages of a service.

use super::list::ListArguments;
use super::output::{Failure, harmless, print_progress, seconds, shell_word, size};
use super::remote::{Address, with_query};
use super::send::block_on;
use crate::api::types::message::{DeliveryNumbers, ListedMessage, MessageHead};
use crate::api::types::page::MatchingRejections;
use crate::query::{QueryClause, QueryTerm};

/// Filters and output format.
#[derive(Debug, clap::Args)]
pub struct MessagesArguments {
    /// Only messages that match this query, such as event:push after:2h '"order 17"' '!draft'; see
    /// docs/search.md. An argument cannot begin with a minus sign: write '!is:delivered', or
    /// -is:delivered after all options and --.
    #[arg(value_name = "QUERY")]
    query: Vec<String>,

    /// Only messages of this source.
    #[arg(long)]
    source: Option<String>,

    /// Only these events, such as 'github.*'.
    #[arg(long, value_name = "PATTERN")]
    event: Option<String>,

    /// Only messages received at or after this time, such as 2h (two hours ago) or
    /// 2026-11-22T14:31:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Only messages received before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Only messages that contain exactly this text, as a quoted text in the query; needs the admin
    /// token.
    #[arg(long)]
    text: Option<String>,

    /// Only events emitted for this owner; needs the admin token.
    #[arg(long)]
    owner: Option<String>,

    /// Only messages with a dead letter: a delivery that failed permanently and was not replayed.
    #[arg(long)]
    dead: bool,

    #[command(flatten)]
    list: ListArguments,

    #[command(flatten)]
    address: Address,
}

/// Formats one line that ends with the unusual properties.
pub fn line(head: &MessageHead) -> String {
    line_of(head, Vec::new())
}

/// Formats one line with the outcome of the message's deliveries.
fn listed_line(message: &ListedMessage) -> String {
    let DeliveryNumbers { delivered, pending, failed, dead } = message.delivery_counts;
    let counts = [(delivered, "delivered"), (pending, "pending"), (failed, "failed"), (dead, "dead")];
    let shown = counts.into_iter().filter(|(count, _)| *count > 0);
    line_of(&message.head, shown.map(|(count, state)| format!("{state}={count}")).collect())
}

fn line_of(head: &MessageHead, deliveries: Vec<String>) -> String {
    let mut parts =
        vec![format!("#{}", head.id), seconds(&head.received_at), head.event.clone(), size(head.body_bytes)];
    parts.extend(head.owner.as_ref().map(|owner| format!("owner={owner}")));
    parts.extend(deliveries);
    parts.extend(remarks(head));
    format!("{}\n", harmless(&parts.join("  ").replace(['\n', '\t'], " ")))
}

/// Returns the properties that most messages do not have.
pub fn remarks(head: &MessageHead) -> Vec<String> {
    let flag = |is_set: bool, word: &str| is_set.then(|| word.to_owned());
    let confirmation = head.confirmation.clone().filter(|state| state != "confirmed");
    let all = [
        confirmation,
        unreadable_remark(head),
        flag(head.body_unsigned, "body-unsigned"),
        flag(head.unverified, "unverified"),
        head.conflict_of.map(|of| format!("conflict-of=#{of}")),
        (head.duplicates > 0).then(|| format!("duplicates={}", head.duplicates)),
    ];
    all.into_iter().flatten().collect()
}

/// Returns the reason why the body was not parsed. An empty body needs no remark, because its size
/// is shown.
fn unreadable_remark(head: &MessageHead) -> Option<String> {
    match head.unreadable.as_deref() {
        Some("empty") => None,
        Some(reason) => Some(format!("unreadable={reason}")),
        // An older service does not send the reason.
        None => head.not_json.then(|| "not_json".to_owned()),
    }
}

pub fn run(arguments: &MessagesArguments) -> Result<String, Failure> {
    let remote = arguments.address.remote()?;
    let path = |limit: &str, cursor: Option<&str>| arguments.path(limit, cursor);
    let matching = block_on(arguments.list.print_searched(&remote, path, listed_line))??;
    if let Some(matching) = matching.filter(|matching| matching.count > 0) {
        print_progress(&arguments.rejections_note(matching));
    }
    Ok(String::new())
}

/// Joins the words of a query; `None` without words.
pub fn query_of(words: &[String]) -> Option<String> {
    (!words.is_empty()).then(|| words.join(" "))
}

impl MessagesArguments {
    /// Returns the number of matching rejections, with the command that lists them.
    fn rejections_note(&self, MatchingRejections { count, complete }: MatchingRejections) -> String {
        let at_least = if complete { "" } else { "at least " };
        let (requests, verb) = if count == 1 { ("request", "matches") } else { ("requests", "match") };
        let command = self.rejections_command();
        format!("{at_least}{count} rejected {requests} in quarantine {verb}: {command}")
    }

    /// Returns the command for a shell. The text is a part of the query there.
    fn rejections_command(&self) -> String {
        let filters = [("source", &self.source), ("since", &self.since), ("until", &self.until)];
        let filters = filters.map(|(name, value)| (name, value.clone()));
        let mut words = vec!["creel rejections".to_owned()];
        for (name, value) in self.address.options().into_iter().chain(filters) {
            // A value that begins with a minus sign must be in the same argument.
            let join = |value: &str| if value.starts_with('-') { '=' } else { ' ' };
            words.extend(value.map(|value| format!("--{name}{}{}", join(&value), shell_word(&value))));
        }
        let text = self.text.clone().map(|text| QueryClause::of(QueryTerm::Quote(text)).to_string());
        let terms: Vec<String> = query_of(&self.query).into_iter().chain(text).collect();
        let query = terms.join(" ");
        if !query.is_empty() {
            // After `--`, neither an option nor the action `show` is recognised.
            let is_other = query.starts_with('-') || query == "show";
            words.extend(is_other.then(|| "--".to_owned()));
            words.push(shell_word(&query));
        }
        words.join(" ")
    }

    fn path(&self, limit: &str, cursor: Option<&str>) -> String {
        with_query(
            "/messages",
            &[
                ("q", query_of(&self.query).as_deref()),
                ("source", self.source.as_deref()),
                ("event", self.event.as_deref()),
                ("since", self.since.as_deref()),
                ("until", self.until.as_deref()),
                ("text", self.text.as_deref()),
                ("owner", self.owner.as_deref()),
                ("dead", self.dead.then_some("true")),
                ("limit", Some(limit)),
                ("cursor", cursor),
            ],
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::{MatchingRejections, MessagesArguments, line, listed_line};

    #[derive(clap::Parser)]
    struct OneCommand {
        #[command(flatten)]
        arguments: MessagesArguments,
    }

    #[test]
    fn note_has_command_that_can_be_pasted() {
        let rows: [(&[&str], &str); 8] = [
            (&["is:rejected"], "creel rejections is:rejected"),
            (&["order", "17"], "creel rejections 'order 17'"),
            (&[r#""it's" .a:>1"#], r#"creel rejections '"it'\''s" .a:>1'"#),
            (&["--", "-is:dead"], "creel rejections -- -is:dead"),
            (&["show"], "creel rejections -- show"),
            (&["!draft", "--source", "shop"], "creel rejections --source shop '!draft'"),
            (
                &["x", "--text", r#"a "b"#, "--since=-1", "--until", "2h"],
                r#"creel rejections --since=-1 --until 2h 'x "a \"b"'"#,
            ),
            (
                &["x", "--server", "https://h", "--token-file", "my token"],
                "creel rejections --server https://h --token-file 'my token' x",
            ),
        ];
        for (line, command) in rows {
            let line = std::iter::once("creel").chain(line.iter().copied());
            let arguments = OneCommand::try_parse_from(line).expect(command).arguments;
            assert_eq!(arguments.rejections_command(), command);
        }
        let arguments = OneCommand::try_parse_from(["creel", "x"]).expect("arguments").arguments;
        let note = |count, complete| arguments.rejections_note(MatchingRejections { count, complete });
        assert_eq!(note(1, true), "1 rejected request in quarantine matches: creel rejections x");
        assert_eq!(note(3, false), "at least 3 rejected requests in quarantine match: creel rejections x");
    }

    #[test]
    fn line_shows_remarks_without_terminal_controls() {
        // As sent by a service without the later fields.
        let plain = r#"{"id":7,"received_at":"2026-11-22T14:31:00.123456Z","source":"github","event":"github.push",
            "owner":null,"delivery_id":"x","method":"POST","query":null,"remote_ip":"192.0.2.7","body_sha256":"ab",
            "body_bytes":1234,"not_json":false,"body_unsigned":false,"unverified":false,"conflict_of":null,
            "duplicates":0,"last_duplicate_at":null,"confirmation":null}"#;
        let line = |text: &str| line(&serde_json::from_str(text).expect("a head"));
        assert_eq!(line(plain), "#7  2026-11-22T14:31:00Z  github.push  1234 B\n");
        let odd = plain
            .replace("github.push", "github.\\u001b[31m\\n")
            .replace(r#""conflict_of":null"#, r#""conflict_of":3"#)
            .replace(r#""duplicates":0"#, r#""duplicates":2"#)
            .replace(r#""confirmation":null"#, r#""confirmation":"awaiting""#);
        let expected =
            "#7  2026-11-22T14:31:00Z  github.\\u{1b}[31m   1234 B  awaiting  conflict-of=#3  duplicates=2\n";
        assert_eq!(line(&odd), expected);
        let listed = plain.replace(
            r#""duplicates":0"#,
            r#""duplicates":1,"delivery_counts":{"delivered":2,"pending":0,"failed":1,"dead":3}"#,
        );
        assert_eq!(
            listed_line(&serde_json::from_str(&listed).expect("a message")),
            "#7  2026-11-22T14:31:00Z  github.push  1234 B  delivered=2  failed=1  dead=3  duplicates=1\n"
        );
        // As sent by a service without counts.
        assert_eq!(listed_line(&serde_json::from_str(plain).expect("a message")), line(plain));
    }
}
