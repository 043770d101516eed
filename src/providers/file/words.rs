//! What a recipe does, in words for people.

use crate::scheme::encoding::Encoding;

use super::super::recipe::Proofs;
use super::tables::{HandshakeTable, RecipeFile, whole};

/// What is signed or shared, one sentence a scheme, for people.
pub fn in_words(file: &RecipeFile, proofs: &Proofs) -> Vec<String> {
    let mut words = Vec::new();
    for table in &file.signature {
        let layout =
            if table.layout == whole() { String::new() } else { format!(", written `{}`", table.layout) };
        let switch =
            table.enabled_by.as_ref().map(|name| format!("; only with `{name}`")).unwrap_or_default();
        let without = table.without.as_ref().map(|key| format!("; only without `{key}`")).unwrap_or_default();
        words.push(format!(
            "{} over `{}`, in {}{layout} as {}{switch}{without}",
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
            format!(" behind `{}`", table.scheme.trim_end())
        };
        words.push(format!(
            "a shared token in {}{scheme}",
            table.at.replace("{setting:header}", "the header that you name")
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
            format!(", whose claims {} must agree", claims.join(", "))
        };
        words.push(format!("a JSON Web Token ({}) in {}{claims}", algorithms.join(", "), table.at));
    }
    words.extend(proofs.code.map(|code| code.in_words().to_owned()));
    words.extend(file.confirm.as_ref().map(|table| {
        format!(
            "nothing that could be checked here: the provider's API is asked about each message, `{} {}`",
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

/// Which requests are answered instead of kept.
pub fn handshake(table: &HandshakeTable) -> String {
    let conditions: Vec<String> = table.when.iter().map(|condition| format!("`{condition}`")).collect();
    let when =
        if conditions.is_empty() { String::new() } else { format!(" with {}", conditions.join(" and ")) };
    let check: Vec<String> = table.check.iter().map(|condition| format!("`{condition}`")).collect();
    let check = if check.is_empty() { String::new() } else { format!(", if {}", check.join(" and ")) };
    let signed = if table.signed { ", once its signature is found right" } else { "" };
    let does = match (&table.learn, &table.visit) {
        (Some(place), _) => format!(" The secret is learned from `{place}`."),
        (_, Some(place)) => format!(" The URL in `{place}` is visited first."),
        (None, None) => String::new(),
    };
    format!("{}{when} is answered {} and not kept{check}{signed}.{does}", table.method, table.reply.status)
}
