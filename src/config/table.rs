//! The one table of variables: name, default, unit and meaning. `.env.example`, the README's table, the parser's
//! defaults and the suggestions for misspelt names all come from here. The keys that a provider's recipe names
//! (`_SECRET`, `_HEADER` …) are not in it: their recipes describe them.

mod targets;

use super::noun::Noun;

/// One environment variable.
#[derive(Debug)]
pub struct Variable {
    /// The whole name; a source's or target's begin with the pattern of their `Noun`.
    pub name: &'static str,
    pub absent: Absent,
    /// What the value is written in, as the reader of the documentation is told.
    pub unit: &'static str,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// Markdown, one sentence or two, without a full stop at the end.
    pub doc: &'static str,
    /// A value for `.env.example`.
    pub example: &'static str,
}

/// What holds when a variable is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// This text is parsed instead.
    Default(&'static str),
    /// What happens instead, in words.
    Means(&'static str),
}

/// How every variable of creel begins.
pub const PREFIX: &str = "CREEL_";
/// What is put behind a name to read the value from a file.
pub const FILE_SUFFIX: &str = "_FILE";

const NEW_SECRET: &str = "<paste what `creel secret` prints>";

/// All rows, in the order in which a reader meets them.
pub fn variables() -> impl Iterator<Item = &'static Variable> {
    VARIABLES.iter().chain(targets::VARIABLES)
}

/// Those of the service and of sources.
const VARIABLES: &[Variable] = &[
    Variable {
        name: "CREEL_LISTEN",
        absent: Absent::Default("127.0.0.1:8080"),
        unit: "address:port",
        secret: false,
        doc: "where webhooks arrive; port 0 picks a free one (the image listens on `0.0.0.0:8080`)",
        example: "127.0.0.1:8080",
    },
    Variable {
        name: "CREEL_ADMIN_LISTEN",
        absent: Absent::Means("on `CREEL_LISTEN`"),
        unit: "address:port",
        secret: false,
        doc: "moves API and metrics to an address of their own, where `/metrics` needs no token",
        example: "127.0.0.1:8081",
    },
    Variable {
        name: "CREEL_ADMIN_TOKEN",
        absent: Absent::Means("generated at the first start, shown once"),
        unit: "16 or more visible ASCII characters",
        secret: true,
        doc: "opens the admin API and `/metrics`; `creel token` makes a new one where this is not set",
        example: NEW_SECRET,
    },
    Variable {
        name: "CREEL_READ_TOKEN",
        absent: Absent::Means("none"),
        unit: "16 or more visible ASCII characters",
        secret: true,
        doc: "may list, follow message heads (`creel tail`) and read `/metrics`; it changes nothing and sees no content of messages",
        example: NEW_SECRET,
    },
    Variable {
        name: "CREEL_LISTENER_TOKEN",
        absent: Absent::Means("none; only the admin token can listen"),
        unit: "16 or more visible ASCII characters",
        secret: true,
        doc: "for `creel listen`: opens listeners, which receive whole messages, and nothing else",
        example: NEW_SECRET,
    },
    Variable {
        name: "CREEL_DATABASE",
        absent: Absent::Default("data/creel.db"),
        unit: "path",
        secret: false,
        doc: "the file that keeps everything (image: `/data/creel.db`); its directory is made if it is missing",
        example: "data/creel.db",
    },
    Variable {
        name: "CREEL_KEY",
        absent: Absent::Means("a key file beside the database, made at the first start"),
        unit: "32 or more characters",
        secret: true,
        doc: "seals what must be kept secret in the database; without it those values are lost",
        example: NEW_SECRET,
    },
    Variable {
        name: "CREEL_PUBLIC_URL",
        absent: Absent::Means("none"),
        unit: "http(s) URL",
        secret: false,
        doc: "how the outside reaches this service: to print endpoints, and for schemes that sign the URL",
        example: "https://hooks.example.com",
    },
    Variable {
        name: "CREEL_TRUSTED_PROXIES",
        absent: Absent::Means("none"),
        unit: "list of CIDRs or addresses",
        secret: false,
        doc: "peers whose `X-Forwarded-For` is believed",
        example: "127.0.0.1 172.16.0.0/12",
    },
    Variable {
        name: "CREEL_RETENTION",
        absent: Absent::Default("7d"),
        unit: "duration, or `off`",
        secret: false,
        doc: "age at which messages are cleaned up; `off` keeps them for ever",
        example: "7d",
    },
    Variable {
        name: "CREEL_ATTEMPT_RETENTION",
        absent: Absent::Default("7d"),
        unit: "duration, or `off`",
        secret: false,
        doc: "age at which what became of delivered messages, attempt by attempt, is cleaned up",
        example: "7d",
    },
    Variable {
        name: "CREEL_DEAD_RETENTION",
        absent: Absent::Default("30d"),
        unit: "duration, or `off`",
        secret: false,
        doc: "age at which deliveries that ended without success are cleaned up",
        example: "30d",
    },
    Variable {
        name: "CREEL_QUARANTINE_SIZE",
        absent: Absent::Default("256MiB"),
        unit: "size",
        secret: false,
        doc: "what rejected requests may take of the database, at most a quarter of the free disk; divided fairly between sources and client networks",
        example: "256MiB",
    },
    Variable {
        name: "CREEL_QUARANTINE_RETENTION",
        absent: Absent::Default("7d"),
        unit: "duration",
        secret: false,
        doc: "age at which rejected requests that may be genuine are cleaned up; others go after a day",
        example: "7d",
    },
    Variable {
        name: "CREEL_CLEANUP_INTERVAL",
        absent: Absent::Default("1m"),
        unit: "duration",
        secret: false,
        doc: "how often the clean-up runs",
        example: "1m",
    },
    Variable {
        name: "CREEL_MAX_DATABASE_SIZE",
        absent: Absent::Means("no limit"),
        unit: "size",
        secret: false,
        doc: "above it the oldest finished messages go first",
        example: "10GiB",
    },
    Variable {
        name: "CREEL_MIN_FREE",
        absent: Absent::Default("256MiB"),
        unit: "size",
        secret: false,
        doc: "low-water mark of the disk: with less free space messages are answered 503",
        example: "256MiB",
    },
    Variable {
        name: "CREEL_MAX_BODY",
        absent: Absent::Default("25MiB"),
        unit: "size",
        secret: false,
        doc: "the largest body of one message (GitHub sends up to 25 MB); larger ones are answered 413",
        example: "25MiB",
    },
    Variable {
        name: "CREEL_BODY_BUDGET",
        absent: Absent::Default("64MiB"),
        unit: "size",
        secret: false,
        doc: "memory for all bodies in flight; above it messages are answered 503",
        example: "64MiB",
    },
    Variable {
        name: "CREEL_CHECKPOINT",
        absent: Absent::Default("on"),
        unit: "`on` or `off`",
        secret: false,
        doc: "`off` when Litestream owns checkpoints",
        example: "on",
    },
    Variable {
        name: "CREEL_LOG",
        absent: Absent::Default("info"),
        unit: "`off`, `error`, `warn`, `info`, `debug`, `trace`, or `module=level` with commas between",
        secret: false,
        doc: "what is logged to stderr",
        example: "info",
    },
    Variable {
        name: "CREEL_LOG_FORMAT",
        absent: Absent::Default("text"),
        unit: "`text` or `json`",
        secret: false,
        doc: "how a line of the log is written",
        example: "text",
    },
    Variable {
        name: "CREEL_RECIPES",
        absent: Absent::Means("none"),
        unit: "path",
        secret: false,
        doc: "a file with recipes of your own, in the format of `docs/recipes.md`",
        example: "recipes.toml",
    },
    Variable {
        name: "CREEL_EVENTS",
        absent: Absent::Means("none"),
        unit: "list of names of `A-Z a-z 0-9 _ . -`",
        secret: false,
        doc: "the events that your own app may emit",
        example: "pay_info.created pay_info.paid",
    },
    Variable {
        name: "CREEL_TARGET_ALLOW_IPS",
        absent: Absent::Means("none"),
        unit: "list of CIDRs or addresses",
        secret: false,
        doc: "private addresses that targets made through the API may reach; those declared here may reach any",
        example: "10.0.0.0/24",
    },
    Variable {
        name: "CREEL_GITHUB_META_URL",
        absent: Absent::Default("https://api.github.com/meta"),
        unit: "http(s) URL",
        secret: false,
        doc: "where GitHub's address list comes from (`_ALLOW_IPS=github`)",
        example: "https://api.github.com/meta",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_PROVIDER",
        absent: Absent::Means("the name, if it is a provider's"),
        unit: "name of a provider",
        secret: false,
        doc: "whose rules the source follows; `CREEL_SOURCE_GITHUB_SECRET` alone is a whole source",
        example: "token",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_PATH",
        absent: Absent::Means("none"),
        unit: "16 or more of `A-Z a-z 0-9 _ -`",
        secret: true,
        doc: "random last part of the source's URL; `creel secret` makes one",
        example: NEW_SECRET,
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_URL",
        absent: Absent::Means("`CREEL_PUBLIC_URL` and the request's path and query"),
        unit: "http(s) URL",
        secret: false,
        doc: "the URL as registered at the provider, for schemes that sign it; where it has no query, the request's is appended",
        example: "https://hooks.example.com/webhooks/my-shop",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_ALLOW_IPS",
        absent: Absent::Means("every address"),
        unit: "list of CIDRs or addresses",
        secret: false,
        doc: "who may send; the word `github` stands for GitHub's published list (provider `github` only)",
        example: "192.0.2.0/24 2001:db8::7",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_METHODS",
        absent: Absent::Means("provider's, else `POST`"),
        unit: "list of `GET`, `POST`, `PUT`, `PATCH` and `DELETE`",
        secret: false,
        doc: "methods that make a message; others are answered 405",
        example: "GET POST",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_PROBE",
        absent: Absent::Means("`no`: they are answered 405"),
        unit: "`yes` or `no`",
        secret: false,
        doc: "answers HEAD and GET with 200 and stores nothing, at the rate of `_RATE` next to that of messages, for senders and load balancers that check a URL (generic providers only)",
        example: "yes",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_RATE",
        absent: Absent::Means("no limit; `5/s` where nothing but confirmation proves the sender"),
        unit: "count per `s`, `m` or `h`",
        secret: false,
        doc: "limit for each client address, like `50/s`; over it requests are answered 429",
        example: "50/s",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_DEDUPE",
        absent: Absent::Means("nothing is dropped"),
        unit: "duration",
        secret: false,
        doc: "window in which repeats are dropped, for senders without a delivery id (method, query and body are compared)",
        example: "10m",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_CONFIRM_URL",
        absent: Absent::Means("provider's, else nobody is asked"),
        unit: "http(s) URL with values of the message in path or query",
        secret: false,
        doc: "asked before anything is done with a message; `{query:id}`, `{header:X-Id}`, `{json:/data/id}` and `{form:id}` stand for what the message has there",
        example: "https://api.example.com/payments/{query:id}",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_CONFIRM_EXPECT",
        absent: Absent::Means("provider's, else `2xx`"),
        unit: "`2xx` or a status from 200 to 299, then conditions `/json/pointer=value`",
        secret: false,
        doc: "the answer that confirms a message; another one is asked for again for three days, then the message is refused",
        example: "200 /status=paid",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_CONFIRM_TOKEN",
        absent: Absent::Means("none"),
        unit: "visible ASCII characters",
        secret: true,
        doc: "sent to `_CONFIRM_URL` as `Authorization: Bearer`",
        example: "<paste the API's token>",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_RETENTION",
        absent: Absent::Means("`CREEL_RETENTION`"),
        unit: "duration, or `off`",
        secret: false,
        doc: "age at which this source's messages are cleaned up",
        example: "30d",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_TOLERANCE",
        absent: Absent::Means("provider's, else `5m`"),
        unit: "duration",
        secret: false,
        doc: "how far a signed timestamp may be from now",
        example: "5m",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_REPLY_STATUS",
        absent: Absent::Means("provider's"),
        unit: "200 to 299",
        secret: false,
        doc: "status of the reply once a message is kept",
        example: "200",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_REPLY_BODY",
        absent: Absent::Means("provider's"),
        unit: "text, may be empty",
        secret: false,
        doc: "body of the reply once a message is kept",
        example: "success",
    },
];

/// The row of a variable that the code itself names.
pub fn variable(name: &str) -> &'static Variable {
    variables()
        .find(|variable| variable.name == name)
        .expect("the code asks only for variables that the table has")
}

/// The variables that stand for themselves.
pub fn globals() -> impl Iterator<Item = &'static Variable> {
    variables().filter(|variable| !Noun::ALL.iter().any(|noun| variable.name.starts_with(noun.pattern())))
}
