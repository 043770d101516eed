//! The commands: arguments in, exit code out. The doc comments of the commands are the help text.
//! No command makes decisions about messages: each reads its settings and calls the module that
//! does the work.

mod check;
mod diff;
mod emit;
mod explanation;
mod following;
mod forward;
mod healthcheck;
mod introduction;
mod learn;
mod list;
mod listen;
mod messages;
mod output;
mod providers;
mod recheck;
mod rejections;
mod remote;
mod replay;
mod secret;
mod send;
mod show;
mod stats;
mod store;
mod tail;
mod targets;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{Arg, ArgAction, Parser, Subcommand};

pub use crate::app::protect_secrets;

use crate::config::{Config, InheritedSockets};
use crate::store::Consent;
use introduction::INTRODUCTION;
use output::Failure;

const LISTENER_TOKEN_HELP: &str = "Read the token from a file instead of CREEL_LISTENER_TOKEN";

/// A webhook inbox: receives, verifies, stores, acknowledges.
#[derive(Debug, Parser)]
#[command(name = "creel", version, long_about = INTRODUCTION, disable_help_subcommand = true)]
#[command(disable_help_flag = true, arg(help_option()))]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

/// Returns `-h, --help` with a shorter text than clap's own.
fn help_option() -> Arg {
    Arg::new("help").short('h').long("help").help("Print help").global(true).action(ArgAction::Help)
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive webhooks (the default without a command).
    ///
    /// Exit codes: 0 after a stop by SIGTERM or SIGINT (143 or 130 if a second signal ends it), 1
    /// when the configuration or the start failed, 2 after wrong usage, 74 when the store failed
    /// while running.
    ///
    /// Use each option for one start only, after creel has listed the data that would be lost.
    ///
    /// Examples:
    ///     creel
    ///     CREEL_LISTEN=0.0.0.0:8080 CREEL_SOURCE_STRIPE_SECRET_FILE=stripe.secret creel serve
    #[command(verbatim_doc_comment)]
    Serve {
        /// Start with a database that lacks acknowledged messages, such as an older backup.
        #[arg(long)]
        accept_loss: bool,
        /// Drop everything that was encrypted with a lost key.
        ///
        /// This drops secrets and headers of targets created through the API, learned secrets, the
        /// inbox URL, credentials in quarantine, and pending confirmation requests.
        #[arg(long)]
        forget_sealed: bool,
    },

    /// Validate the configuration and print each source with the URL to register with the
    /// provider.
    ///
    /// Prints random paths in full, because they are part of the URL. Problems are reported all
    /// together, with exit code 1. Warnings do not change the exit code.
    ///
    /// Examples:
    ///     creel check
    ///     docker compose run --rm creel check
    #[command(verbatim_doc_comment)]
    Check,

    /// Generate a random secret, token or path part.
    ///
    /// Use --whsec for a target's secret: Standard Webhooks libraries need this form.
    /// `--target NAME` prints an existing secret in this form.
    ///
    /// Examples:
    ///     creel secret
    ///     creel secret > github.secret && CREEL_SOURCE_GITHUB_SECRET_FILE=github.secret creel
    ///     creel secret --whsec
    ///     creel secret --target app
    #[command(verbatim_doc_comment)]
    Secret(secret::SecretArguments),

    /// Create a new admin token; the old one stops working.
    ///
    /// The token is printed once and stored as a hash; the database must exist. The command fails
    /// if CREEL_ADMIN_TOKEN is set, because then the environment sets the token.
    ///
    /// Example:
    ///     creel token
    #[command(verbatim_doc_comment)]
    Token,

    /// Send a correctly signed sample message, without the provider.
    ///
    /// PROVIDER is the name of a source, or of a provider with one source, whose secrets are used.
    /// Without a source, --url and --secret replace its settings.
    ///
    /// Examples:
    ///     creel send github
    ///     creel send github --secret "$(cat secret)" --url http://127.0.0.1:8080/webhooks/github
    #[command(verbatim_doc_comment)]
    Send(send::SendArguments),

    /// List the supported providers, or show how to set one up.
    ///
    /// A name shows the provider's page: setup steps, variables, signed parts and pitfalls. A part
    /// of a name, or --search, lists the matching providers.
    ///
    /// Examples:
    ///     creel providers
    ///     creel providers stripe
    #[command(verbatim_doc_comment)]
    Providers(providers::ProvidersArguments),

    /// Forward the messages of a service to a program on this machine, as they arrive.
    ///
    /// The service tracks the received messages by --name: messages that arrive while this machine
    /// is offline stay pending for a week, and are delivered in order after it reconnects. A
    /// message counts as received once the program has answered it, with any status; without an
    /// answer, it is retried every second. The program receives the method, headers, query and
    /// exact body of the original request, without credentials, and a creel-event header.
    ///
    /// Needs only the service's address and its listener token (CREEL_LISTENER_TOKEN). Stop it with
    /// Ctrl-C.
    ///
    /// Examples:
    ///     creel listen http://127.0.0.1:9090 --forward http://localhost:3000/hooks
    ///     creel listen http://127.0.0.1:9090 --forward http://localhost:3000 --name ann --since 2h
    ///     creel listen --forward http://localhost:3000/hooks --events 'github.*' --events '*.paid'
    #[command(verbatim_doc_comment)]
    #[command(mut_arg("token_file", |file| file.help(LISTENER_TOKEN_HELP)))]
    Listen(listen::ListenArguments),

    /// Print the messages of a service as they arrive.
    ///
    /// One line each: id, time, event, size, and unusual properties. Nothing is acknowledged or
    /// changed; the read token is enough.
    ///
    /// Examples:
    ///     creel tail --server http://127.0.0.1:9090 --events 'stripe.*'
    ///     creel tail --json | jq .event
    #[command(verbatim_doc_comment)]
    Tail(tail::TailArguments),

    /// List the stored messages of a service, newest first.
    ///
    /// If rejected requests match the filters too, their number is printed to stderr, with the
    /// command that lists them.
    ///
    /// Examples:
    ///     creel messages
    ///     creel messages 'source:github after:2h "order 17"' --limit 500 --json
    #[command(verbatim_doc_comment)]
    Messages(messages::MessagesArguments),

    /// Show one message: headers, body, and deliveries with all attempts and answers.
    ///
    /// With the read token, it shows no query, headers or body.
    ///
    /// Examples:
    ///     creel show 42
    ///     creel show 42 --body > body.json
    #[command(verbatim_doc_comment)]
    Show(show::ShowArguments),

    /// Compare two messages: event, source, method, query, headers and body.
    ///
    /// One line for each difference, path first: `|` between two values, `<` after a value that is
    /// only in the first message, `>` before one that is only in the second. JSON is compared as a
    /// tree, so white space and the order of keys do not count. Needs the admin token.
    ///
    /// Exit codes, as those of diff: 0 without differences, 1 with differences, 2 after an error.
    ///
    /// Examples:
    ///     creel diff 42 41
    ///     creel diff 42 --previous --hide-noise
    ///     creel diff 42 --previous --json | jq '.body.changes[].path'
    #[command(verbatim_doc_comment)]
    Diff(diff::DiffArguments),

    /// Deliver a message again.
    ///
    /// With --to, this machine sends the message, so localhost is fine, and the answer is printed;
    /// only a 2xx is a success. Without --to, the service delivers it, with the usual retries.
    ///
    /// Examples:
    ///     creel replay 42
    ///     creel replay 42 --target billing
    ///     creel replay 42 --to http://localhost:3000/hooks
    #[command(verbatim_doc_comment)]
    Replay(replay::ReplayArguments),

    /// List rejected requests, newest first, or explain one with `show`.
    ///
    /// A query selects requests in the language of `creel messages`, see docs/search.md.
    ///
    /// Requests with all parts that the provider's scheme requires may be genuine and are marked
    /// `candidate`: if the secret was wrong, correct it and run `creel recheck`. `show` prints the
    /// signed text and tries typical mistakes, such as a line feed added by a proxy; it needs the
    /// admin token.
    ///
    /// Examples:
    ///     creel rejections
    ///     creel rejections show 17
    ///     creel rejections --source github --since 2h
    ///     creel rejections source:shop '"order 17"'
    ///     creel rejections --cause signature_mismatch --json
    #[command(verbatim_doc_comment)]
    Rejections(rejections::RejectionsArguments),

    /// Verify rejected requests again, e.g. after correcting a secret.
    ///
    /// Each request is verified with the current settings and the time of its arrival. Genuine ones
    /// become messages, in the order of arrival, and are delivered; the others stay in quarantine.
    /// Without --yes, a filter only counts the matching requests. Running the command again is
    /// safe.
    ///
    /// Examples:
    ///     creel recheck 17
    ///     creel recheck --source github
    ///     creel recheck --source github --since 2026-11-22T14:00:00Z --yes
    #[command(verbatim_doc_comment)]
    Recheck(recheck::RecheckArguments),

    /// Turn rejected requests into messages without verification.
    ///
    /// Use it only if you know that the requests are genuine: the messages are marked
    /// `unverified` and are delivered. A filter releases only candidates. Without --yes, a filter
    /// only counts the matching requests.
    ///
    /// Examples:
    ///     creel release 17
    ///     creel release --source github --cause stale_timestamp --since 2h --yes
    #[command(verbatim_doc_comment)]
    #[command(mut_arg("yes", |yes| yes.help("Release the requests instead of only counting them")))]
    Release(recheck::RecheckArguments),

    /// List the targets of a service with their states, or pause or resume one.
    ///
    /// A target that answers 410 Gone is disabled: its deliveries stay pending, and continue once
    /// the target is resumed. After a week, the oldest become dead letters. Changing a target needs
    /// the admin token.
    ///
    /// Examples:
    ///     creel targets
    ///     creel targets resume billing
    ///     creel targets pause billing --server http://127.0.0.1:9090
    #[command(verbatim_doc_comment)]
    Targets(targets::TargetsArguments),

    /// Print counts of messages and rejections, or the forecast of the database size.
    ///
    /// The counts are kept for 400 days; the read token is enough.
    ///
    /// Examples:
    ///     creel stats --from 30d --step 1d --source github
    ///     creel stats --by event
    #[command(verbatim_doc_comment)]
    Stats(stats::StatsArguments),

    /// Emit an event of your own app.
    ///
    /// The event must be declared in CREEL_EVENTS. On success, the event is stored and queued for
    /// the targets that subscribe to it.
    ///
    /// Examples:
    ///     creel emit pay_info.paid '{"amount": 1200}' --owner customer-17
    ///     creel emit pay_info.paid - --idempotency-key invoice-7 < payload.json
    #[command(verbatim_doc_comment)]
    Emit(emit::EmitArguments),

    /// Let a source learn its secret from a handshake again, within the next ten minutes.
    ///
    /// For providers that send the secret themselves (Asana, Notion). A source without a secret
    /// does not need this: it learns the first one.
    ///
    /// Examples:
    ///     creel learn asana
    ///     creel learn notion --show
    #[command(verbatim_doc_comment)]
    Learn(learn::LearnArguments),

    /// Check whether the running service accepts messages: exit code 0 if it does, 1 if not.
    ///
    /// Made for HEALTHCHECK in a container without curl. Reads CREEL_ADMIN_LISTEN and CREEL_LISTEN.
    ///
    /// Example:
    ///     creel healthcheck && echo ready
    #[command(verbatim_doc_comment)]
    Healthcheck,

    /// Verify the hash of every stored body; exits with 1 if any body differs.
    ///
    /// Only reads, and can run while the service is running.
    ///
    /// Example:
    ///     creel verify
    #[command(verbatim_doc_comment)]
    Verify,

    /// Delete expired messages now.
    ///
    /// While the service runs, this only reports that the service does it itself; --confirm works
    /// at any time.
    ///
    /// Examples:
    ///     creel cleanup
    ///     creel cleanup --confirm
    #[command(verbatim_doc_comment)]
    Cleanup {
        /// Confirm that the clock is correct, after a jump of the clock has paused deletion.
        #[arg(long)]
        confirm: bool,
    },
}

/// Runs one command to completion.
pub fn run(arguments: Arguments) -> ExitCode {
    let outcome = match arguments.command {
        None => return serve(Consent::default()),
        Some(Command::Serve { accept_loss, forget_sealed }) => {
            return serve(Consent { loss: accept_loss, forget_sealed });
        }
        Some(Command::Check) => configured(|config| Ok(check::report(config))),
        Some(Command::Secret(arguments)) => secret::run(&arguments),
        Some(Command::Token) => configured(store::renew_admin_token),
        Some(Command::Send(arguments)) => send::run(&arguments),
        Some(Command::Providers(arguments)) => providers::run(&arguments),
        Some(Command::Learn(arguments)) => configured(|config| learn::run(config, &arguments)),
        Some(Command::Listen(arguments)) => listen::run(&arguments),
        Some(Command::Tail(arguments)) => tail::run(&arguments),
        Some(Command::Messages(arguments)) => messages::run(&arguments),
        Some(Command::Diff(arguments)) => return diff::run(&arguments),
        Some(Command::Show(arguments)) => show::run(&arguments),
        Some(Command::Replay(arguments)) => replay::run(&arguments),
        Some(Command::Rejections(arguments)) => rejections::run(&arguments),
        Some(Command::Recheck(arguments)) => recheck::recheck(&arguments),
        Some(Command::Release(arguments)) => recheck::release(&arguments),
        Some(Command::Targets(arguments)) => targets::run(&arguments),
        Some(Command::Stats(arguments)) => stats::run(&arguments),
        Some(Command::Emit(arguments)) => emit::run(&arguments),
        Some(Command::Healthcheck) => configured(healthcheck::check_readiness),
        Some(Command::Verify) => configured(store::verify),
        Some(Command::Cleanup { confirm }) => configured(|config| store::clean_up(config, confirm)),
    };
    match outcome {
        Ok(text) => {
            output::print(&text);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            output::print_error(&failure);
            ExitCode::FAILURE
        }
    }
}

fn serve(consent: Consent) -> ExitCode {
    match Config::from_env().and_then(|config| Ok((config, InheritedSockets::take()?))) {
        Ok((config, inherited)) => crate::app::run(config, inherited, consent),
        Err(problems) => {
            output::print_error(&problems.into());
            ExitCode::FAILURE
        }
    }
}

fn configured(command: impl FnOnce(&Config) -> Result<String, Failure>) -> Result<String, Failure> {
    command(&Config::from_env()?)
}
