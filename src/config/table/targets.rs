//! Rows of targets.

use super::variable::{AbsentValue, Variable};

/// In the order of the documentation.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "CREEL_TARGET_<NAME>_URL",
        absent: AbsentValue::Means("`_EXEC` is set instead"),
        unit: "http(s) URL",
        secret: true,
        doc: "URL that receives messages by POST (private addresses are allowed); enough for a complete target",
        example: "http://app:8000/hooks",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_EXEC",
        absent: AbsentValue::Means("`_URL` is set instead"),
        unit: "program and arguments",
        secret: false,
        doc: "command that reads the body from stdin and metadata from `HOOK_…` variables; split like a shell line, but run without a \
              shell: for `&&`, `|`, `>` or `$` use a script or `sh -c '…'`; exit code 0 is success, 75 is retry later, others are final",
        example: "/usr/local/bin/deploy --quiet",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_EVENTS",
        absent: AbsentValue::Default("*"),
        unit: "list of events; `*` stands for any characters",
        secret: false,
        doc: "events to deliver, such as `github.push billing.*`; one without `*` must be in `CREEL_EVENTS` or start with a source's name and a dot",
        example: "github.*",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_FILTER",
        absent: AbsentValue::Means("none"),
        unit: "list of conditions, or a JSON array of them",
        secret: false,
        doc: "conditions on the payload, all of which must hold; `/place=value`, `/place=one|other`, `/place` (present), `!/place` (absent); \
              places are JSON pointers; `1`, `true` and `null` also match the text, `\"1\"` only the text; an unreadable body \
              (`docs/payloads.md`) meets no condition",
        example: "/ref=refs/heads/main /repository/name=shop|blog",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_OWNER",
        absent: AbsentValue::Means("none"),
        unit: "text",
        secret: false,
        doc: "delivers only events that the app emits for this owner, never a received message",
        example: "customer-42",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_SECRET",
        absent: AbsentValue::Means("not signed"),
        unit: "`whsec_` and base64 (`creel secret --whsec`), or any text",
        secret: true,
        doc: "signs deliveries to `_URL` as Standard Webhooks defines (`webhook-signature`); verifying libraries need the `whsec_` form, \
              which `creel secret --target <name>` prints for any text; `_SECRET_2` … `_SECRET_9` sign too, for rotation",
        example: "<paste the output of `creel secret --whsec`>",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_HEADERS",
        absent: AbsentValue::Means("none"),
        unit: "JSON object of texts",
        secret: true,
        doc: "additional headers of requests to `_URL`",
        example: "{\"Authorization\": \"Bearer <token>\"}",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_CONTENT_TYPE",
        absent: AbsentValue::Means("as received; JSON for events of the app"),
        unit: "`json` or `form`",
        secret: false,
        doc: "format that bodies are converted to for `_URL`",
        example: "json",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_CONCURRENCY",
        absent: AbsentValue::Default("8"),
        unit: "1 to 1000",
        secret: false,
        doc: "largest number of simultaneous deliveries (1 with `_ORDER=strict`)",
        example: "8",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_ORDER",
        absent: AbsentValue::Default("any"),
        unit: "`any` or `strict`",
        secret: false,
        doc: "`strict` starts a delivery after the previous one succeeded or became a dead letter; with `any`, a failing delivery does not delay others",
        example: "any",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_RATE",
        absent: AbsentValue::Means("no limit"),
        unit: "count per `s`, `m` or `h`",
        secret: false,
        doc: "largest delivery rate, such as `50/s`",
        example: "50/s",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_TIMEOUT",
        absent: AbsentValue::Default("30s"),
        unit: "duration up to 15m",
        secret: false,
        doc: "timeout of each attempt",
        example: "30s",
    },
];
