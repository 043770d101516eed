//! Descriptions of a recipe's schemes and handshakes, for the provider's page.

use crate::scheme::encoding::Encoding;

use super::super::recipe::Proofs;
use super::tables::{HandshakeTable, RecipeFile, whole};

/// Describes the signed texts and shared secrets, one text for each scheme.
pub fn in_words(file: &RecipeFile, proofs: &Proofs) -> Vec<String> {
    let mut words = Vec::new();
    for table in &file.signature {
        let layout = if table.layout == whole() { String::new() } else { format!(" as `{}`", table.layout) };
        let switch =
            table.enabled_by.as_ref().map(|name| format!("; only if `{name}` is `yes`")).unwrap_or_default();
        let without =
            table.without.as_ref().map(|key| format!("; ignored if `{key}` is present")).unwrap_or_default();
        words.push(format!(
            "{} over `{}`, in {}{layout}, encoded as {}{switch}{without}",
            table.algorithm,
            table.text.replace('\n', "\\n").replace('\r', "\\r"),
            table.at,
            encoding_name(table.encoding),
        ));
    }
    for table in &file.token {
        let scheme = if table.scheme.is_empty() {
            String::new()
        } else {
            format!(" after `{}`", table.scheme.trim_end())
        };
        words.push(format!(
            "A shared token in {}{scheme}",
            table.at.replace("header {setting:header}", "the configured header")
        ));
    }
    if file.basic.is_some() {
        words.push("HTTP basic authentication".to_owned());
    }
    for table in &file.jwt {
        let algorithms: Vec<String> =
            table.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
        let claims: Vec<&str> = table.claim.iter().map(|claim| claim.name.as_str()).collect();
        let claims = if claims.is_empty() {
            String::new()
        } else {
            format!("; checked claims: {}", claims.join(", "))
        };
        words.push(format!("A JSON Web Token ({}) in {}{claims}", algorithms.join(", "), table.at));
    }
    words.extend(proofs.code.map(|code| code.in_words().to_owned()));
    words.extend(file.confirm.as_ref().map(|table| {
        format!(
            "No local verification: creel confirms each message with the provider's API, `{} {}`",
            table.method, table.url
        )
    }));
    words
}

const fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Hex => "hex",
        Encoding::Base64 => "base64",
        Encoding::Base64Url => "base64url",
    }
}

/// Describes which requests creel answers as a handshake.
pub fn handshake(table: &HandshakeTable) -> String {
    let conditions: Vec<String> = table.when.iter().map(|condition| format!("`{condition}`")).collect();
    let when =
        if conditions.is_empty() { String::new() } else { format!(" with {}", conditions.join(" and ")) };
    let check: Vec<String> = table.check.iter().map(|condition| format!("`{condition}`")).collect();
    let check = if check.is_empty() { String::new() } else { format!(" if {}", check.join(" and ")) };
    let signed = if table.signed { " after verifying the signature" } else { "" };
    let does = match (&table.learn, &table.visit) {
        (Some(place), _) => format!(" It learns the secret from `{place}`."),
        (_, Some(place)) => format!(" It first requests the URL in `{place}`."),
        (None, None) => String::new(),
    };
    format!(
        "{}{when}: creel replies with {}{check}{signed}. It does not store the request.{does}",
        table.method, table.reply.status
    )
}
