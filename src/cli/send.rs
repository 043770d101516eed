//! `creel send`: sends a correctly signed sample message, without the provider.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use time::OffsetDateTime;

use super::forward::with_query;
use super::output::{Failure, harmless};
use super::secret::random_text;
use crate::config::{Config, SourceConfig};
use crate::outbound::{Client, Response};
use crate::providers::{self, Sample, SampleOptions, Secret, SettingError, Settings, Verifier};

const TIMEOUT: Duration = Duration::from_secs(30);
const NONCE_BYTES: usize = 16;

/// Sample and destination.
#[derive(Debug, clap::Args)]
pub struct SendArguments {
    /// A configured source or a provider, such as github.
    provider: String,

    /// The event's type as the provider names it, such as push; default: the provider's most
    /// common event.
    event: Option<String>,

    /// The destination; default: the source's URL on this machine.
    #[arg(long)]
    url: Option<String>,

    /// Sign with this secret instead of the configured source's. Other users of this machine can
    /// see it in the list of processes.
    #[arg(long, value_parser = secret_argument)]
    secret: Option<Secret>,
}

/// Wraps the argument in `Secret`, so that `Debug` never shows it.
fn secret_argument(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// Sends the sample and reports the response; only a 2xx is a success.
pub fn run(arguments: &SendArguments) -> Result<String, Failure> {
    let config = Config::from_env()?;
    let source = choose(&config, &arguments.provider)?;
    require_signing_key(source, &arguments.provider)?;
    let url = url(&config, source, arguments)?;
    let nonce = random_text(NONCE_BYTES)?;
    let registered = registered_url(&config, source, &url);
    let options = SampleOptions {
        event: arguments.event.as_deref(),
        now: OffsetDateTime::now_utc(),
        nonce: &nonce,
        url: &registered,
    };
    let sample = sample(source, arguments, &options)?;
    let url = with_query(&url, &sample.query);
    let answer = block_on(async {
        Client::new().request("POST", &url, &sample.headers, sample.body.into_bytes(), TIMEOUT).await
    })?;
    let response = answer.map_err(|error| Failure(format!("no response to the sample: {error}")))?;
    report(&response)
}

/// Returns the source of that name, or the only source of that provider; `None` if there is
/// neither.
fn choose<'a>(config: &'a Config, wanted: &str) -> Result<Option<&'a SourceConfig>, Failure> {
    if let Some(source) = config.sources.iter().find(|source| source.name == wanted) {
        return Ok(Some(source));
    }
    let found: Vec<&SourceConfig> =
        config.sources.iter().filter(|source| source.provider == wanted).collect();
    if found.len() > 1 {
        let names: Vec<&str> = found.iter().map(|source| source.name.as_str()).collect();
        return Err(Failure(format!(
            "{wanted} is the provider of several sources; name one of them: {}",
            names.join(" ")
        )));
    }
    Ok(found.first().copied())
}

fn url(config: &Config, source: Option<&SourceConfig>, arguments: &SendArguments) -> Result<String, Failure> {
    match (&arguments.url, source) {
        (Some(url), _) => Ok(url.clone()),
        (None, Some(source)) if config.listen.port() != 0 => {
            Ok(format!("{}{}", config.local_url(), source.endpoint()))
        }
        (None, Some(_)) => Err(Failure(
            "CREEL_LISTEN has port 0, so the service's port is unknown here; set the destination with --url"
                .to_owned(),
        )),
        (None, None) if providers::recipe(&arguments.provider).is_none() => {
            Err(unknown_provider(&arguments.provider))
        }
        (None, None) => Err(Failure(format!(
            "source {:?} is not configured; set the destination with --url (and --secret), or configure it",
            arguments.provider
        ))),
    }
}

/// Returns the URL that is registered with the provider according to the settings, because some
/// schemes sign it.
fn registered_url(config: &Config, source: Option<&SourceConfig>, url: &str) -> String {
    let Some(source) = source else { return url.to_owned() };
    let public = || config.public_url.as_ref().map(|base| format!("{base}{}", source.endpoint()));
    source.url.clone().or_else(public).unwrap_or_else(|| url.to_owned())
}

fn sample(
    source: Option<&SourceConfig>,
    arguments: &SendArguments,
    options: &SampleOptions<'_>,
) -> Result<Sample, Failure> {
    let bound;
    let verifier = match (source, &arguments.secret) {
        (Some(source), None) => &source.verifier,
        (Some(source), secret @ Some(_)) => {
            bound = source
                .verifier
                .with_learned(secret.as_ref())
                .map_err(|errors| rejected(source.verifier.recipe().name(), &errors))?;
            &bound
        }
        (None, secret) => {
            bound = bind(&arguments.provider, secret.as_ref())?;
            &bound
        }
    };
    let name = source.map_or(&arguments.provider, |source| &source.name);
    verifier.sample(options).ok_or_else(|| missing_secret(name, verifier, source.is_some()))
}

/// Rejects providers whose messages only the provider can sign.
fn require_signing_key(source: Option<&SourceConfig>, name: &str) -> Result<(), Failure> {
    let recipe = source.map(|source| source.verifier.recipe()).or_else(|| providers::recipe(name));
    match recipe {
        Some(recipe) if !recipe.can_authenticate_samples() => Err(no_sample(
            name,
            "only the provider has the key that signs its messages; use the provider's own test function, or a recorded request",
        )),
        _ => Ok(()),
    }
}

fn missing_secret(name: &str, verifier: &Verifier, is_configured: bool) -> Failure {
    if !is_configured {
        return no_sample(name, "it needs a secret; add --secret, or configure a source");
    }
    if verifier.waits_for_secret() {
        let problem = format!(
            "the source has no secret in its configuration; once it has learned one, add --secret \"$(creel learn {name} --show)\""
        );
        return no_sample(name, &problem);
    }
    no_sample(
        name,
        "the source has no secret that signs it, or the recipe's sample does not fit its scheme; add --secret, or use a recorded request",
    )
}

fn no_sample(name: &str, problem: &str) -> Failure {
    Failure(format!("cannot create a sample for {name:?}: {problem}"))
}

/// Creates a verifier of that provider from a secret alone.
fn bind(provider: &str, secret: Option<&Secret>) -> Result<Verifier, Failure> {
    let recipe = providers::recipe(provider).ok_or_else(|| unknown_provider(provider))?;
    let secrets = secret.map(|secret| ("secret".to_owned(), vec![secret.clone()]));
    let settings = Settings { values: BTreeMap::from_iter(secrets), ..Settings::default() };
    Verifier::bind(recipe, &settings).map_err(|errors| rejected(provider, &errors))
}

fn unknown_provider(name: &str) -> Failure {
    let advice = providers::provider_advice(name);
    Failure(format!("{name:?} is neither a configured source nor a provider; {advice}"))
}

fn rejected(provider: &str, errors: &[SettingError]) -> Failure {
    let problems: Vec<String> =
        errors.iter().map(|error| format!("{}: {}", error.key, error.problem)).collect();
    Failure(format!(
        "the provider {provider} needs more settings (configure a source, or pass --secret): {}",
        problems.join("; ")
    ))
}

fn report(response: &Response) -> Result<String, Failure> {
    let body = harmless(&String::from_utf8_lossy(&response.body));
    if (200..=299).contains(&response.status) {
        return Ok(format!("{}\n{}\n", response.status, body.trim_end()));
    }
    Err(Failure(format!("the sample was answered {}: {}", response.status, body.trim_end())))
}

/// Runs one asynchronous task on this thread.
pub fn block_on<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure(format!("cannot start the runtime: {error}")))?;
    Ok(runtime.block_on(work))
}

#[cfg(test)]
mod tests {
    use super::{SampleOptions, Secret, SendArguments, choose, require_signing_key, sample, url};
    use crate::config::Config;

    fn config(pairs: &[(&str, &str)]) -> Config {
        let vars = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_vars(vars.collect()).expect("the configuration is valid")
    }

    fn arguments(provider: &str, secret: Option<&str>) -> SendArguments {
        SendArguments {
            provider: provider.to_owned(),
            event: None,
            url: None,
            secret: secret.map(Secret::new),
        }
    }

    #[test]
    fn source_is_found_by_name_then_by_provider() {
        let one = config(&[("CREEL_SOURCE_CODE_PROVIDER", "github"), ("CREEL_SOURCE_CODE_SECRET", "s")]);
        for wanted in ["code", "github"] {
            let found = choose(&one, wanted).expect("no ambiguity").expect("a source");
            assert_eq!(found.name, "code");
        }
        assert!(choose(&one, "stripe").expect("no ambiguity").is_none());
        let two = config(&[
            ("CREEL_SOURCE_CODE_PROVIDER", "github"),
            ("CREEL_SOURCE_CODE_SECRET", "s"),
            ("CREEL_SOURCE_MORE_PROVIDER", "github"),
            ("CREEL_SOURCE_MORE_SECRET", "s"),
        ]);
        let failure = choose(&two, "github").expect_err("two sources have the provider");
        assert!(failure.to_string().ends_with("code more"), "{failure}");
    }

    #[test]
    fn sample_is_sent_to_local_url_of_source() {
        let config = config(&[("CREEL_LISTEN", "0.0.0.0:8080"), ("CREEL_SOURCE_GITHUB_SECRET", "s")]);
        let source = config.sources.first();
        let own = url(&config, source, &arguments("github", None)).expect("a URL");
        assert_eq!(own, "http://127.0.0.1:8080/webhooks/github");
        let failure = url(&config, None, &arguments("stripe", None)).expect_err("no destination");
        assert!(failure.to_string().contains("--url"), "{failure}");
        let failure = url(&config, None, &arguments("githb", None)).expect_err("unknown provider");
        assert!(failure.to_string().contains("did you mean github"), "{failure}");
    }

    #[test]
    fn impossible_sample_error_names_cause_and_remedy() {
        let wish = SampleOptions {
            event: None,
            now: time::OffsetDateTime::UNIX_EPOCH,
            nonce: "nonce",
            url: "http://127.0.0.1/",
        };
        let failure = require_signing_key(None, "fal").expect_err("the key is fal's").to_string();
        assert!(failure.contains("only the provider has the key"), "{failure}");
        assert!(failure.contains("test function"), "{failure}");
        let rows = [
            (
                ("CREEL_SOURCE_ASANA_PATH", "random-path-part-of-tasks"),
                "no secret in its configuration",
                "creel learn asana --show",
            ),
            (
                (
                    "CREEL_SOURCE_STANDARD_WEBHOOKS_PUBLIC_KEY",
                    "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                ),
                "no secret that signs it",
                "--secret",
            ),
        ];
        for (setting, cause, remedy) in rows {
            let config = config(&[setting]);
            let source = config.sources.first().expect("one source");
            let sample = sample(Some(source), &arguments(&source.name, None), &wish);
            let failure = sample.expect_err("there is no sample").to_string();
            assert!(failure.starts_with("cannot create a sample for "), "{failure}");
            assert!(failure.contains(cause) && failure.contains(remedy), "{failure}");
        }
    }

    #[test]
    fn missing_provider_secret_is_named() {
        let now = time::OffsetDateTime::UNIX_EPOCH;
        let options = SampleOptions { event: None, now, nonce: "nonce", url: "http://127.0.0.1/" };
        let made = sample(None, &arguments("github", None), &options);
        let failure = made.expect_err("the secret is missing").to_string();
        assert!(failure.contains("secret") && failure.contains("--secret"), "{failure}");
        let made = sample(None, &arguments("githbu", Some("s")), &options);
        let failure = made.expect_err("there is no such provider").to_string();
        assert!(failure.contains("github"), "{failure}");
    }
}
