//! The table of environment variables: name, default, unit and meaning, for
//! `docs/configuration.md`, `.env.example`, the parser's defaults and the suggestions for misspelt
//! names. Keys of a provider (`_SECRET`, `_HEADER` …) are described by its recipe instead.

mod targets;

use super::noun::Noun;

/// One environment variable.
#[derive(Debug)]
pub struct Variable {
    /// The complete name; a source's or target's starts with the pattern of its `Noun`.
    pub name: &'static str,
    pub absent: Absent,
    /// Format of the value, for the documentation.
    pub unit: &'static str,
    /// Whether the value is never printed.
    pub secret: bool,
    /// Markdown, one or two sentences without a full stop at the end.
    pub doc: &'static str,
    /// A value for `.env.example`.
    pub example: &'static str,
}

/// Behaviour of a variable that is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The text that is parsed instead.
    Default(&'static str),
    /// A description of the behaviour.
    Means(&'static str),
}

/// Prefix of all variables of creel.
pub const PREFIX: &str = "CREEL_";
/// Suffix of the variables that name a file with the value.
pub const FILE_SUFFIX: &str = "_FILE";

const NEW_SECRET: &str = "<paste the output of `creel secret`>";

/// All rows, in the order of the documentation.
pub fn variables() -> impl Iterator<Item = &'static Variable> {
    VARIABLES.iter().chain(targets::VARIABLES)
}

/// Rows of the service and of sources.
const VARIABLES: &[Variable] = &[
    Variable {
        name: "CREEL_LISTEN",
        absent: Absent::Default("127.0.0.1:8080"),
        unit: "address:port",
        secret: false,
        doc: "address for webhooks; port 0 picks a free one (image: `0.0.0.0:8080`)",
        example: "127.0.0.1:8080",
    },
    Variable {
        name: "CREEL_ADMIN_LISTEN",
        absent: Absent::Means("on `CREEL_LISTEN`"),
        unit: "address:port",
        secret: false,
        doc: "separate address for API and metrics; `/metrics` needs no token there",
        example: "127.0.0.1:8081",
    },
    Variable {
        name: "CREEL_ADMIN_TOKEN",
        absent: Absent::Means("generated at the first start, shown once"),
        unit: "16 or more visible ASCII characters",
        secret: true,
        doc: "token for the admin API and `/metrics`; without it, `creel token` makes a new one",
        example: NEW_SECRET,
    },
    Variable {
        name: "CREEL_READ_TOKEN",
        absent: Absent::Means("none"),
        unit: "16 or more visible ASCII characters",
        secret: true,
        doc: "read-only token: lists, message heads (`creel tail`) and `/metrics`, but no message content",
        example: NEW_SECRET,
    },
    Variable {
        name: "CREEL_LISTENER_TOKEN",
        absent: Absent::Means("none; only the admin token can listen"),
        unit: "16 or more visible ASCII characters",
        secret: true,
        doc: "token for `creel listen`: opens listeners, which receive complete messages, and nothing else",
        example: NEW_SECRET,
    },
    Variable {
        name: "CREEL_DATABASE",
        absent: Absent::Default("data/creel.db"),
        unit: "path",
        secret: false,
        doc: "the database file (image: `/data/creel.db`); a missing directory is created",
        example: "data/creel.db",
    },
    Variable {
        name: "CREEL_KEY",
        absent: Absent::Means("a key file next to the database, created at the first start"),
        unit: "32 or more characters",
        secret: true,
        doc: "encrypts the secrets in the database; they are lost without it",
        example: NEW_SECRET,
    },
    Variable {
        name: "CREEL_PUBLIC_URL",
        absent: Absent::Means("none"),
        unit: "http(s) URL",
        secret: false,
        doc: "public URL of this service, for printed endpoints and schemes that sign the URL",
        example: "https://hooks.example.com",
    },
    Variable {
        name: "CREEL_TRUSTED_PROXIES",
        absent: Absent::Means("none"),
        unit: "list of CIDRs or addresses",
        secret: false,
        doc: "proxies whose `X-Forwarded-For` is trusted",
        example: "127.0.0.1 172.16.0.0/12",
    },
    Variable {
        name: "CREEL_RETENTION",
        absent: Absent::Default("7d"),
        unit: "duration, or `off`",
        secret: false,
        doc: "age at which messages are deleted; `off` never deletes by age",
        example: "7d",
    },
    Variable {
        name: "CREEL_ATTEMPT_RETENTION",
        absent: Absent::Default("7d"),
        unit: "duration, or `off`",
        secret: false,
        doc: "age at which deliveries and attempts of delivered messages are deleted",
        example: "7d",
    },
    Variable {
        name: "CREEL_DEAD_RETENTION",
        absent: Absent::Default("30d"),
        unit: "duration, or `off`",
        secret: false,
        doc: "age at which dead letters are deleted",
        example: "30d",
    },
    Variable {
        name: "CREEL_QUARANTINE_SIZE",
        absent: Absent::Default("256MiB"),
        unit: "size",
        secret: false,
        doc: "limit on the rejected requests in the database, at most a quarter of the free disk; divided fairly between sources and client networks",
        example: "256MiB",
    },
    Variable {
        name: "CREEL_QUARANTINE_RETENTION",
        absent: Absent::Default("7d"),
        unit: "duration",
        secret: false,
        doc: "age at which rejected requests that may be genuine are deleted; others are deleted after a day",
        example: "7d",
    },
    Variable {
        name: "CREEL_CLEANUP_INTERVAL",
        absent: Absent::Default("1m"),
        unit: "duration",
        secret: false,
        doc: "interval of the cleanup",
        example: "1m",
    },
    Variable {
        name: "CREEL_MAX_DATABASE_SIZE",
        absent: Absent::Means("no limit"),
        unit: "size",
        secret: false,
        doc: "above this size the oldest finished messages are deleted",
        example: "10GiB",
    },
    Variable {
        name: "CREEL_MIN_FREE",
        absent: Absent::Default("256MiB"),
        unit: "size",
        secret: false,
        doc: "minimum free disk space; below it messages get 503",
        example: "256MiB",
    },
    Variable {
        name: "CREEL_MAX_BODY",
        absent: Absent::Default("25MiB"),
        unit: "size",
        secret: false,
        doc: "largest body of a message (GitHub sends up to 25 MB); larger ones get 413",
        example: "25MiB",
    },
    Variable {
        name: "CREEL_BODY_BUDGET",
        absent: Absent::Default("64MiB"),
        unit: "size",
        secret: false,
        doc: "memory for all bodies in flight; above it messages get 503",
        example: "64MiB",
    },
    Variable {
        name: "CREEL_CHECKPOINT",
        absent: Absent::Default("on"),
        unit: "`on` or `off`",
        secret: false,
        doc: "`off` if Litestream controls checkpoints",
        example: "on",
    },
    Variable {
        name: "CREEL_LOG",
        absent: Absent::Default("info"),
        unit: "`off`, `error`, `warn`, `info`, `debug`, `trace`, or `module=level` with commas between",
        secret: false,
        doc: "log level on stderr",
        example: "info",
    },
    Variable {
        name: "CREEL_LOG_FORMAT",
        absent: Absent::Default("text"),
        unit: "`text` or `json`",
        secret: false,
        doc: "format of log lines",
        example: "text",
    },
    Variable {
        name: "CREEL_RECIPES",
        absent: Absent::Means("none"),
        unit: "path",
        secret: false,
        doc: "file with your own recipes, in the format of `docs/recipes.md`",
        example: "recipes.toml",
    },
    Variable {
        name: "CREEL_EVENTS",
        absent: Absent::Means("none"),
        unit: "list of names of `A-Z a-z 0-9 _ . -`",
        secret: false,
        doc: "events that your own app may emit",
        example: "pay_info.created pay_info.paid",
    },
    Variable {
        name: "CREEL_TARGET_ALLOW_IPS",
        absent: Absent::Means("none"),
        unit: "list of CIDRs or addresses",
        secret: false,
        doc: "private addresses that targets made through the API may reach; targets from the environment may reach any address",
        example: "10.0.0.0/24",
    },
    Variable {
        name: "CREEL_GITHUB_META_URL",
        absent: Absent::Default("https://api.github.com/meta"),
        unit: "http(s) URL",
        secret: false,
        doc: "URL of GitHub's address list (`_ALLOW_IPS=github`)",
        example: "https://api.github.com/meta",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_PROVIDER",
        absent: Absent::Means("the name, if it is a provider's"),
        unit: "name of a provider",
        secret: false,
        doc: "provider whose rules apply; `CREEL_SOURCE_GITHUB_SECRET` alone is a complete source",
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
        doc: "URL as registered at the provider, for schemes that sign it; if it has no query, the request's is appended",
        example: "https://hooks.example.com/webhooks/my-shop",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_ALLOW_IPS",
        absent: Absent::Means("every address"),
        unit: "list of CIDRs or addresses",
        secret: false,
        doc: "addresses that may send; `github` stands for GitHub's published list (provider `github` only)",
        example: "192.0.2.0/24 2001:db8::7",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_METHODS",
        absent: Absent::Means("provider's, otherwise `POST`"),
        unit: "list of `GET`, `POST`, `PUT`, `PATCH` and `DELETE`",
        secret: false,
        doc: "accepted methods; others get 405",
        example: "GET POST",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_PROBE",
        absent: Absent::Means("`no`: 405"),
        unit: "`yes` or `no`",
        secret: false,
        doc: "replies 200 to HEAD and GET without storing anything, with a separate limit of `_RATE`, for senders and load balancers that check a URL (generic providers only)",
        example: "yes",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_RATE",
        absent: Absent::Means("no limit; `5/s` if only confirmation verifies the sender"),
        unit: "count per `s`, `m` or `h`",
        secret: false,
        doc: "limit for each client address, such as `50/s`; above it requests get 429",
        example: "50/s",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_DEDUPE",
        absent: Absent::Means("no duplicates are dropped"),
        unit: "duration",
        secret: false,
        doc: "window in which duplicates are dropped, for senders without a delivery id (compares method, query and body)",
        example: "10m",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_CONFIRM_URL",
        absent: Absent::Means("provider's, otherwise no confirmation"),
        unit: "http(s) URL with values of the message in path or query",
        secret: false,
        doc: "API that confirms a message before it is delivered; `{query:id}`, `{header:X-Id}`, `{json:/data/id}` and `{form:id}` are replaced by values of the message",
        example: "https://api.example.com/payments/{query:id}",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_CONFIRM_EXPECT",
        absent: Absent::Means("provider's, otherwise `2xx`"),
        unit: "`2xx` or a status from 200 to 299, then conditions `/json/pointer=value`",
        secret: false,
        doc: "response that confirms a message; after another response the request is repeated for three days, then the message is rejected",
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
        doc: "age at which this source's messages are deleted",
        example: "30d",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_TOLERANCE",
        absent: Absent::Means("provider's, otherwise `5m`"),
        unit: "duration",
        secret: false,
        doc: "largest accepted difference between a signed timestamp and the clock",
        example: "5m",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_REPLY_STATUS",
        absent: Absent::Means("provider's"),
        unit: "200 to 299",
        secret: false,
        doc: "status of the reply to a stored message",
        example: "200",
    },
    Variable {
        name: "CREEL_SOURCE_<NAME>_REPLY_BODY",
        absent: Absent::Means("provider's"),
        unit: "text, may be empty",
        secret: false,
        doc: "body of the reply to a stored message",
        example: "success",
    },
];

/// Returns the row of a variable that the code names.
pub fn variable(name: &str) -> &'static Variable {
    variables()
        .find(|variable| variable.name == name)
        .expect("the table has every variable that the code names")
}

/// Returns the variables that belong to no source or target.
pub fn globals() -> impl Iterator<Item = &'static Variable> {
    variables().filter(|variable| !Noun::ALL.iter().any(|noun| variable.name.starts_with(noun.pattern())))
}
