//! The text that `creel --help` begins with.

/// Introduction of `creel --help`, before the list of commands.
pub const INTRODUCTION: &str = "\
creel is a webhook inbox: one program and one SQLite file that receive
webhooks from any provider, verify them, store every genuine one durably, and
acknowledge it in milliseconds.

Quick start:

    creel

Without configuration, it creates data/creel.db, and prints an admin token
(once) and the URL of an inbox with a random path, with a curl command to try.
List the received messages at any time:

    sqlite3 -readonly data/creel.db 'select received_at, event, payload from messages'

Then add a real sender. Generate a secret, start creel with it, and give it to
the provider together with the URL that `creel check` prints:

    creel secret > github.secret
    export CREEL_SOURCE_GITHUB_SECRET_FILE=github.secret
    creel check
    creel

Send a correctly signed sample without the provider (from another shell with
the same environment):

    creel send github push

All settings are environment variables that start with CREEL_.
docs/configuration.md lists all of them with their defaults.
Every value can also come from a file: CREEL_KEY_FILE=/run/secrets/key.";
