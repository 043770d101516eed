//! The rows of targets.

use super::variable::{Absent, Variable};

/// In the order in which a reader meets them.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "CREEL_TARGET_<NAME>_URL",
        absent: Absent::Means("`_EXEC` says where to"),
        unit: "http(s) URL",
        secret: true,
        doc: "where messages are sent by POST; the whole of a target, if nothing else is set; private addresses are fine here",
        example: "http://app:8000/hooks",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_EXEC",
        absent: Absent::Means("`_URL` says where to"),
        unit: "program and arguments",
        secret: false,
        doc: "a command that gets the body on stdin and the rest in `HOOK_…` variables; split like a shell line, but there is no shell: \
              for `&&`, `|`, `>` or `$` name a script or `sh -c '…'`; exit code 0 is success, 75 is try later",
        example: "/usr/local/bin/deploy --quiet",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_EVENTS",
        absent: Absent::Default("*"),
        unit: "list of events, in which `*` stands for any characters",
        secret: false,
        doc: "what it gets, like `github.push billing.*`; one without `*` is of `CREEL_EVENTS` or begins with a source's name and a dot",
        example: "github.push billing.*",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_FILTER",
        absent: Absent::Means("none"),
        unit: "list of conditions, or a JSON array of them",
        secret: false,
        doc: "what must hold of the payload as well, all of it: `/place=value`, `/place=one|other`, `/place` (is there), `!/place` (is not there); \
              places are JSON pointers; `1`, `true` and `null` also stand for the text, and `\"1\"` for the text alone; a body that \
              cannot be read (`docs/payloads.md`) meets no condition",
        example: "/ref=refs/heads/main /repository/name=shop|blog",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_OWNER",
        absent: Absent::Means("none"),
        unit: "text",
        secret: false,
        doc: "it gets only events that the app emits for this owner, and never a received message",
        example: "customer-42",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_SECRET",
        absent: Absent::Means("not signed"),
        unit: "`whsec_` and base64 (`creel secret --whsec`), or any text",
        secret: true,
        doc: "signs deliveries to `_URL`, as Standard Webhooks defines (`webhook-signature`); verifying libraries need the `whsec_` form, which `creel secret --target <name>` prints for any text; with `_SECRET_2` … `_SECRET_9` beside it, for rotation, all sign",
        example: "<paste what `creel secret --whsec` prints>",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_HEADERS",
        absent: Absent::Means("none"),
        unit: "JSON object of texts",
        secret: true,
        doc: "headers that go along with what is sent to `_URL`",
        example: "{\"Authorization\": \"Bearer <token>\"}",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_CONTENT_TYPE",
        absent: Absent::Means("as it was received; JSON for events of the app"),
        unit: "`json` or `form`",
        secret: false,
        doc: "what the body is turned into before it is sent to `_URL`",
        example: "json",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_CONCURRENCY",
        absent: Absent::Default("8"),
        unit: "1 to 1000",
        secret: false,
        doc: "deliveries at the same time (1 where `_ORDER=strict`)",
        example: "8",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_ORDER",
        absent: Absent::Default("any"),
        unit: "`any` or `strict`",
        secret: false,
        doc: "`strict` waits until the one before is delivered or dead; with `any` a failing one steps aside",
        example: "any",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_RATE",
        absent: Absent::Means("no limit"),
        unit: "count per `s`, `m` or `h`",
        secret: false,
        doc: "most deliveries in that time, like `50/s`",
        example: "50/s",
    },
    Variable {
        name: "CREEL_TARGET_<NAME>_TIMEOUT",
        absent: Absent::Default("30s"),
        unit: "duration up to 15m",
        secret: false,
        doc: "for each attempt; then it has failed",
        example: "30s",
    },
];
