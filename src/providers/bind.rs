//! Binding a recipe to the settings of one source: keys are decoded and prepared, replies made ready.

use std::collections::BTreeSet;

use crate::verify::key::VerifyingKey;
use crate::verify::signature::Keyed;
use crate::verify::token::Token;

use super::Secret;
use super::recipe::{KeySource, Proof, Recipe, Signature};
use super::reply::{AcceptedReply, Reply};
use super::settings::{SettingError, Settings};
use super::verifier::{BoundProof, Verifier};

impl Verifier {
    /// # Errors
    /// Every setting that is missing, unknown to the recipe, or malformed.
    pub fn bind(recipe: &'static Recipe, settings: &Settings) -> Result<Self, Vec<SettingError>> {
        let mut errors = unknown_and_missing(recipe, settings);
        let proof = match &recipe.proof {
            Proof::Nothing => BoundProof::Nothing,
            Proof::Token { header } => bind_token(header.as_deref(), settings, &mut errors),
            Proof::Signatures(signatures) => bind_signatures(signatures, settings, &mut errors),
        };
        if settings.tolerance.is_some() && recipe.tolerance.is_none() {
            errors.push(SettingError::new(
                "tolerance",
                format!("does nothing: provider `{}` signs no timestamp", recipe.name),
            ));
        }
        let accepted = bind_accepted(recipe, settings, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let credential_headers = match &proof {
            BoundProof::Token { token, .. } => vec![token.header().to_owned()],
            BoundProof::Nothing | BoundProof::Signatures(_) => Vec::new(),
        };
        let mut refused = recipe.refused.clone();
        if let BoundProof::Token { header, .. } = &proof {
            for row in &mut refused {
                row.reply.body = row.reply.body.replace("{header}", header);
            }
        }
        let tolerance = settings.tolerance.or(recipe.tolerance).unwrap_or_default();
        Ok(Self { recipe, proof, tolerance, accepted, refused, credential_headers })
    }
}

fn unknown_and_missing(recipe: &Recipe, settings: &Settings) -> Vec<SettingError> {
    let known: BTreeSet<&str> = recipe.keys.iter().map(|key| key.name.as_str()).collect();
    let takes = if known.is_empty() {
        "none".to_owned()
    } else {
        known.iter().copied().collect::<Vec<_>>().join(", ")
    };
    let unknown = settings.values.keys().filter(|key| !known.contains(key.as_str())).map(|key| {
        SettingError::new(key, format!("is no setting of provider `{}`, which takes {takes}", recipe.name))
    });
    let missing = recipe.keys.iter().filter(|key| key.required && settings.all(&key.name).is_empty());
    unknown
        .chain(missing.map(|key| SettingError::new(&key.name, format!("is missing: {}", key.doc))))
        .collect()
}

fn bind_token(
    default_header: Option<&str>,
    settings: &Settings,
    errors: &mut Vec<SettingError>,
) -> BoundProof {
    let header = match settings.text("header") {
        Ok(header) => header.or(default_header).unwrap_or_default(),
        Err(error) => {
            errors.push(error);
            ""
        }
    };
    if settings.values.contains_key("header") && !is_header_name(header) {
        errors.push(SettingError::new("header", "is not the name of a header, such as `Acme-Webhook-Token`"));
    } else if EVERYBODY_SENDS.iter().any(|name| header.eq_ignore_ascii_case(name)) {
        errors.push(SettingError::new("header", "is a header that every client sends: it proves nothing"));
    }
    let tokens = settings.all("secret");
    for token in tokens {
        let value = token.expose();
        if value.is_empty() {
            errors.push(SettingError::new("secret", "is empty"));
        } else if value.trim_ascii() != value {
            errors.push(SettingError::new(
                "secret",
                "begins or ends with white space, which a header's value cannot",
            ));
        }
    }
    BoundProof::Token {
        header: header.to_owned(),
        token: Token::new(header, tokens),
        tokens: tokens.to_vec(),
    }
}

/// What HTTP itself or any proxy puts into a request.
const EVERYBODY_SENDS: [&str; 9] = [
    "Host",
    "Content-Length",
    "Content-Type",
    "Connection",
    "Transfer-Encoding",
    "User-Agent",
    "Accept",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
];

fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn bind_signatures(
    signatures: &'static [Signature],
    settings: &Settings,
    errors: &mut Vec<SettingError>,
) -> BoundProof {
    let mut bound = Vec::with_capacity(signatures.len());
    let mut key_settings = BTreeSet::new();
    for signature in signatures {
        key_settings.insert(signature.key.setting.as_str());
        match bind_signature(signature, settings) {
            Ok(keyed) => bound.push(keyed),
            // Two schemes may share a key; its problem is told once.
            Err(error) if errors.contains(&error) => {}
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() && bound.iter().all(|keyed| keyed.keys.is_empty()) {
        let names: Vec<String> = key_settings.iter().map(|name| format!("`{name}`")).collect();
        let first = signatures.first().map_or("secret", |signature| &signature.key.setting);
        errors.push(SettingError::new(first, format!("is missing: the source needs {}", names.join(" or "))));
    }
    BoundProof::Signatures(bound)
}

fn bind_signature(signature: &'static Signature, settings: &Settings) -> Result<Keyed, SettingError> {
    let enabled = signature.enabled_by.as_deref().map_or(Ok(true), |switch| settings.switch(switch))?;
    let values = settings.all(&signature.key.setting);
    let keys = values.iter().map(|value| {
        let bytes = decode(&signature.key, value)?;
        VerifyingKey::new(signature.scheme.algorithm, &bytes)
    });
    let keys = keys
        .collect::<Result<Vec<_>, _>>()
        .map_err(|problem| SettingError::new(&signature.key.setting, problem))?;
    Ok(Keyed { scheme: &signature.scheme, keys: if enabled { keys } else { Vec::new() } })
}

fn decode(source: &KeySource, value: &Secret) -> Result<Vec<u8>, &'static str> {
    let text = value.expose();
    let text = source.prefix.as_ref().and_then(|prefix| text.strip_prefix(prefix.as_bytes())).unwrap_or(text);
    source.encoding.decode(text)
}

/// The user's reply stands for all events of the source.
fn bind_accepted(recipe: &Recipe, settings: &Settings, errors: &mut Vec<SettingError>) -> Vec<AcceptedReply> {
    if let Some(status) = settings.reply_status
        && !(200..=299).contains(&status)
    {
        errors.push(SettingError::new(
            "reply_status",
            "is not between 200 and 299: the sender would take the message for lost",
        ));
    }
    let all = |reply| vec![AcceptedReply { event: None, reply }];
    match (settings.reply_status, settings.reply_body.as_deref()) {
        (None, None) => recipe.accepted.clone(),
        (Some(204), Some(body)) if !body.is_empty() => {
            errors
                .push(SettingError::new("reply_body", "is never sent: a reply with status 204 has no body"));
            Vec::new()
        }
        (Some(204), _) => all(Reply::empty(204)),
        (status, Some(body)) => all(Reply::configured(status.unwrap_or(200), body)),
        (Some(status), None) => {
            let with_status = |row: &AcceptedReply| AcceptedReply {
                event: row.event.clone(),
                reply: Reply { status, ..row.reply.clone() },
            };
            recipe.accepted.iter().map(with_status).collect()
        }
    }
}
