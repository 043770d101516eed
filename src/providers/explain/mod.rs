//! Explains why a request was rejected: the signed text, both signatures, and the results of a
//! fixed list of changes, each tried alone. Without I/O.
//!
//! The result cannot be used to forge a request. Only `scheme::trace` computes signatures to
//! explain a rejection; it returns their first 8 characters (at most 48 of at least 128 bits). No
//! secret is shown. creel computes signatures only for stored rejections, never for a text in the
//! request for an explanation, and a trial only compares them with the signature that the sender
//! sent. Access needs the admin token, which can release any rejection as a message anyway.

mod advice;
mod bodies;
mod checks;
mod diagnosis;
mod excerpt;
mod forms;
mod recipes;
mod secrets;
mod urls;

use crate::content::request::{Cause, Secret};
use crate::scheme::jwt::JwtTrace;
use crate::scheme::key_store::VerifyError;
use crate::scheme::trace::{MIN_SIGNATURE_BYTES, SignaturePrefix, SignatureTrace};

use checks::{Checks, TrialFinding, secrets_of};
use excerpt::Redactor;
use secrets::MIN_SECRET_BYTES;

pub use diagnosis::{Diagnosis, OtherSource, RejectedRequest, Trial, TrialOutcome, TrialResult};
pub use excerpt::TextExcerpt;

/// Limit on the body of a request that is verified and tried.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Length of the pieces in which a sent credential is redacted; the last is less than twice as
/// long.
const CREDENTIAL_PIECE_BYTES: usize = 4 << 10;
/// Headers that carry credentials for any provider.
const CREDENTIAL_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// Explains a rejection. The trials hash at most about 32 MiB; `omissions` names the parts left
/// out.
pub fn explain(rejected: &RejectedRequest<'_>) -> Diagnosis {
    let checks = Checks::new(rejected);
    let parts = secret_parts(rejected);
    let secrets: Vec<&Secret> = configured_secrets(rejected).into_iter().chain(&parts).collect();
    let credentials = sent_credentials(rejected);
    let hidden = Redactor::new(secrets.iter().copied().chain(rejected.hidden).chain(&credentials));
    let mut diagnosis = Diagnosis {
        verifies: false,
        schemes: advice::schemes(&checks),
        signed_text: None,
        received_signature: None,
        computed_signature: None,
        trials: Vec::new(),
        advice: Vec::new(),
        omissions: Vec::new(),
    };
    let unavailable = unavailable_body(rejected);
    diagnosis.omissions.extend(unavailable.clone());
    let verdict = match &unavailable {
        Some(_) => None,
        None => Some(rejected.verifier.authenticate(rejected.request, rejected.key_store)),
    };
    diagnosis.verifies = verdict == Some(Ok(()));
    let jwt = if unavailable.is_none() { jwt_trace(&checks) } else { None };
    if unavailable.is_none()
        && let Some(trace) = signature_trace(&checks).as_ref().or(jwt.as_ref().map(|jwt| &jwt.signature))
    {
        diagnosis.add_signatures(trace, &secrets, &hidden);
    }
    let cause = match &verdict {
        Some(Err(VerifyError::Rejected(cause))) => Some(*cause),
        _ => rejected.cause,
    };
    let may_try = matches!(verdict, Some(Err(VerifyError::Rejected(cause))) if is_tried(cause));
    let lacks_key = matches!(verdict, Some(Err(VerifyError::Missing(_))));
    if lacks_key {
        diagnosis.omissions.push(
            "Verification needs a key or certificate of the provider that is not cached, so there is no trial.".to_owned(),
        );
    }
    for trial in Trial::ALL {
        // With an unknown key, a token next to the signature may fit a provider of tokens.
        let is_misleading = trial == Trial::OtherRecipe && cause == Some(Cause::UnknownKey);
        let outcome = match may_try && !is_misleading {
            true => diagnosis.run(trial, &checks, &hidden),
            false if unavailable.is_some() || lacks_key => TrialOutcome::LeftOut,
            false => TrialOutcome::Inapplicable,
        };
        diagnosis.trials.push(TrialResult { trial, outcome });
    }
    if checks.was_exhausted() {
        diagnosis.omissions.push(
            "The limit on hashed text (32 MiB for all trials) was reached: the trials marked as left out did not finish.".to_owned(),
        );
    }
    diagnosis.add_advice(verdict.as_ref(), cause, &checks, jwt.as_ref(), &hidden);
    diagnosis
}

/// Whether a change can remove the cause.
const fn is_tried(cause: Cause) -> bool {
    match cause {
        Cause::MissingHeader
        | Cause::MalformedSignature
        | Cause::UnknownAlgorithm
        | Cause::SignatureMismatch
        | Cause::TokenMismatch
        | Cause::ClaimMismatch
        | Cause::WrongAccount
        | Cause::UnknownKey => true,
        Cause::StaleTimestamp
        | Cause::CertificateNotTrusted
        | Cause::HandshakeRefused
        | Cause::NotConfirmed
        | Cause::TooLarge
        | Cause::AddressNotAllowed => false,
    }
}

/// The reason why the body is not available for verification.
fn unavailable_body(rejected: &RejectedRequest<'_>) -> Option<String> {
    let bytes = rejected.request.body.len();
    if !rejected.verifier.reads_body() {
        return None;
    }
    if bytes > MAX_BODY_BYTES {
        return Some(format!(
            "The body has {bytes} bytes. Bodies above {MAX_BODY_BYTES} bytes are not examined, so there is no signed text and no trial."
        ));
    }
    (!rejected.has_body).then(|| {
        "The body of the request was not stored, so there is no signed text and no trial.".to_owned()
    })
}

/// Returns the source and the other sources.
fn all_sources<'a>(rejected: &RejectedRequest<'a>) -> impl Iterator<Item = OtherSource<'a>> {
    let own = OtherSource { name: rejected.source, verifier: rejected.verifier };
    std::iter::once(own).chain(rejected.others.iter().copied())
}

/// Returns the secrets of all sources.
fn configured_secrets<'a>(rejected: &RejectedRequest<'a>) -> Vec<&'a Secret> {
    all_sources(rejected).flat_map(|one| secrets_of(one.verifier)).collect()
}

/// Returns the parts of the secrets of all sources that are secret by themselves.
fn secret_parts(rejected: &RejectedRequest<'_>) -> Vec<Secret> {
    all_sources(rejected).flat_map(|one| secrets::secret_parts_of(one.verifier)).collect()
}

/// Returns the credentials that the request carries.
fn sent_credentials(rejected: &RejectedRequest<'_>) -> Vec<Secret> {
    let request = rejected.request;
    let names = rejected.verifier.credential_headers();
    let is_secret =
        |name: &str| CREDENTIAL_HEADERS.contains(&name) || names.iter().any(|secret| secret == name);
    let headers =
        request.headers.0.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| value.to_vec());
    let is_wanted = |name: &str| rejected.verifier.credential_query().iter().any(|wanted| wanted == name);
    // As written in a URL, and decoded.
    let raw = request.query.split('&').filter_map(|field| field.split_once('='));
    let raw = raw.filter(|(name, _)| is_wanted(name)).map(|(_, value)| value.as_bytes().to_vec());
    let decoded = form_urlencoded::parse(request.query.as_bytes());
    let decoded = decoded.filter(|(name, _)| is_wanted(name)).map(|(_, value)| value.as_bytes().to_vec());
    let credentials = headers.chain(raw).chain(decoded);
    credentials.flat_map(|text| pieces(&text).into_iter().map(Secret::new).collect::<Vec<_>>()).collect()
}

/// Divides a credential, so that the search for it stays cheap. The last piece has the rest,
/// because a short piece would be a part of any text.
fn pieces(credential: &[u8]) -> Vec<Vec<u8>> {
    let count = (credential.len() / CREDENTIAL_PIECE_BYTES).max(1);
    let end = |at: usize| if at + 1 == count { credential.len() } else { (at + 1) * CREDENTIAL_PIECE_BYTES };
    (0..count).map(|at| credential[at * CREDENTIAL_PIECE_BYTES..end(at)].to_vec()).collect()
}

/// Returns the trace of the first signature that the request has.
fn signature_trace(checks: &Checks<'_>) -> Option<SignatureTrace> {
    let verifier = checks.rejected.verifier;
    let view = verifier.view(checks.rejected.request);
    let usable = verifier.proofs.signatures.iter().filter(|keyed| !keyed.keys.are_absent());
    let terms = checks.terms();
    let of_data = usable.filter_map(|keyed| keyed.trace(&view, &terms, None)).next();
    of_data.or_else(|| verifier.proofs.code.as_ref()?.trace(&view))
}

fn jwt_trace(checks: &Checks<'_>) -> Option<JwtTrace> {
    let verifier = checks.rejected.verifier;
    let view = verifier.view(checks.rejected.request);
    verifier.proofs.jwts.iter().find_map(|(jwt, keys)| jwt.trace(keys, &view, &checks.terms()))
}

impl Diagnosis {
    fn add_signatures(&mut self, trace: &SignatureTrace, secrets: &[&Secret], hidden: &Redactor<'_>) {
        let contains = |secret: &[u8]| {
            secret.len() >= MIN_SECRET_BYTES
                && trace.received.windows(secret.len()).any(|part| part == secret)
        };
        self.signed_text = trace.text.as_ref().map(|text| hidden.excerpt(text));
        self.computed_signature.clone_from(&trace.computed);
        if secrets.iter().any(|secret| contains(secret.expose())) {
            self.advice.push("The place of the signature contains a configured secret: the sender sends the secret itself instead of a signature. Change the secret, and let the sender sign.".to_owned());
        } else if !trace.is_readable() {
            // The value may be a secret that no source has.
            self.omissions.push(format!(
                "The received signature is not shown: its {} bytes are not the scheme's encoding of at least {MIN_SIGNATURE_BYTES} bytes.",
                trace.received.len()
            ));
        } else {
            // A short secret could be a part of the value.
            let shown = Redactor::new(secrets.iter().copied()).show(&trace.received);
            self.received_signature = Some(SignaturePrefix::of(&shown));
        }
    }

    fn run(&mut self, trial: Trial, checks: &Checks<'_>, hidden: &Redactor<'_>) -> TrialOutcome {
        checks.begin_trial();
        let finding = match trial {
            Trial::WithoutLineEnd
            | Trial::WithLineEnd
            | Trial::CrlfToLf
            | Trial::LfToCrlf
            | Trial::CompactJson
            | Trial::SpacedJson
            | Trial::EscapedJson
            | Trial::DecodedBody => bodies::try_body(checks, trial),
            Trial::TrimmedSecret
            | Trial::SecretWithLineFeed
            | Trial::SecretAsText
            | Trial::SecretFromBase64
            | Trial::SecretFromHex
            | Trial::SecretPrefix => secrets::try_secret(checks, trial),
            Trial::OtherSetting => secrets::try_other_setting(checks),
            Trial::OtherSecret => {
                let (finding, left_out) = secrets::try_other_secrets(checks);
                if left_out > 0 {
                    self.omissions.push(format!(
                        "{left_out} secrets of other sources were not tried; the limit is {}.",
                        secrets::MAX_OTHER_SECRETS
                    ));
                }
                finding
            }
            Trial::OtherSource => recipes::try_sources(checks),
            Trial::TimestampUnit => forms::try_timestamp(checks),
            Trial::UrlScheme | Trial::UrlHost | Trial::UrlForm => urls::try_url(checks, trial, hidden),
            Trial::SignatureForm => forms::try_signature(checks),
            Trial::TokenForm => forms::try_token(checks, hidden),
            Trial::OtherRecipe => recipes::try_recipes(checks),
        };
        match finding {
            TrialFinding::Fits(remedy) => {
                self.advice.push(remedy.clone());
                TrialOutcome::Fits(remedy)
            }
            TrialFinding::Inapplicable | TrialFinding::Differs if checks.is_exhausted() => {
                TrialOutcome::LeftOut
            }
            TrialFinding::Inapplicable => TrialOutcome::Inapplicable,
            TrialFinding::Differs => TrialOutcome::Differs,
        }
    }

    fn add_advice(
        &mut self,
        verdict: Option<&Result<(), VerifyError>>,
        cause: Option<Cause>,
        checks: &Checks<'_>,
        jwt: Option<&JwtTrace>,
        hidden: &Redactor<'_>,
    ) {
        let is_handshake = cause == Some(Cause::HandshakeRefused);
        if self.verifies && !is_handshake {
            self.advice.push("The request verifies with the current settings: `creel recheck` makes it a message, if its address is allowed.".to_owned());
            return;
        }
        if let Some(Err(VerifyError::Missing(_))) = verdict {
            self.advice.push("Verification needs a key or certificate of the provider that is not cached: `creel recheck` fetches it and verifies the request again.".to_owned());
            // Without the key, the cause is unknown.
            return;
        }
        if let Some(cause) = cause {
            self.advice.extend(advice::advice_for(cause, checks, jwt, &self.trials, hidden));
        }
    }
}
