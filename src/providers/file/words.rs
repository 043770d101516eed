//! Descriptions of a recipe's schemes and handshakes, for the provider's page.

use crate::scheme::encoding::Encoding;

use super::super::recipe::{Proofs, SchemeFact};
use super::tables::{HandshakeTable, JwtTable, RecipeFile, TokenTable, whole};

/// Describes the signed texts and shared secrets, one text for each scheme.
pub fn in_words(file: &RecipeFile, proofs: &Proofs) -> Vec<SchemeFact> {
    let signatures = signatures(file).into_iter().chain(proofs.code.map(|code| code.in_words().to_owned()));
    let jwts = file.jwt.iter().map(jwt);
    let confirm = file.confirm.as_ref().map(|table| {
        format!(
            "No local verification: creel confirms each message with the provider's API, `{} {}`",
            table.method, table.url
        )
    });
    let facts = |fields: &'static [&'static str]| {
        let is_unconfirmed = file.unconfirmed.iter().any(|field| fields.contains(&field.as_str()));
        move |text| SchemeFact { text, is_unconfirmed }
    };
    signatures
        .map(facts(&["signature"]))
        .chain(tokens(file).into_iter().map(facts(&["token"])))
        .chain(jwts.map(facts(&["signature", "token"])))
        .chain(confirm.map(facts(&[])))
        .collect()
}

fn signatures(file: &RecipeFile) -> Vec<String> {
    let mut words = Vec::new();
    for table in &file.signature {
        let place = in_place(&table.at);
        let layout = if table.layout == whole() { String::new() } else { format!(" as `{}`", table.layout) };
        let switch = table
            .enabled_by
            .as_ref()
            .map(|name| format!("; only if `_{}` is `yes`", name.to_ascii_uppercase()));
        let without =
            table.without.as_ref().map(|key| format!("; ignored if `{key}` is present")).unwrap_or_default();
        let text = table.text.replace('\n', "\\n").replace('\r', "\\r");
        let signature = format!(
            "{} over `{text}`, in {place}{layout}, encoded as {}{}{without}",
            table.algorithm,
            encoding_name(table.encoding),
            switch.unwrap_or_default(),
        );
        // Schemes that differ only in their key look the same.
        if !words.contains(&signature) {
            words.push(signature);
        }
    }
    words
}

fn tokens(file: &RecipeFile) -> Vec<String> {
    let token = |table: &TokenTable| {
        let scheme = match table.scheme.trim_end() {
            "" => String::new(),
            scheme => format!(" after `{scheme}`"),
        };
        format!("A shared token in {}{scheme}", in_place(&table.at))
    };
    let basic = file.basic.as_ref().map(|_| "HTTP basic authentication".to_owned());
    file.token.iter().map(token).chain(basic).collect()
}

fn jwt(table: &JwtTable) -> String {
    let algorithms: Vec<String> = table.algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect();
    let claims: Vec<String> = table.claim.iter().map(|claim| format!("`{}`", claim.name)).collect();
    let claims =
        if claims.is_empty() { String::new() } else { format!("; checked claims: {}", claims.join(", ")) };
    format!("A JSON Web Token ({}) in {}{claims}", algorithms.join(", "), in_place(&table.at))
}

fn in_place(place: &str) -> String {
    match place.contains("{setting:") {
        true => "the configured header".to_owned(),
        false => format!("`{place}`"),
    }
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
    let (absent, present): (Vec<&str>, Vec<&str>) =
        table.when.iter().map(String::as_str).partition(|condition| condition.starts_with("no "));
    let present: Vec<String> = present.into_iter().map(|condition| format!("`{condition}`")).collect();
    let absent: Vec<String> =
        absent.into_iter().map(|condition| format!("`{}`", condition.trim_start_matches("no "))).collect();
    let with = if present.is_empty() { String::new() } else { format!(" with {}", present.join(" and ")) };
    let without =
        if absent.is_empty() { String::new() } else { format!(", without {}", absent.join(" or ")) };
    let check: Vec<String> = table.check.iter().map(|condition| check(condition)).collect();
    let check = if check.is_empty() { String::new() } else { format!(" if {}", check.join(" and ")) };
    let signed = if table.signed { " after verifying the signature" } else { "" };
    let does = match (&table.learn, &table.visit) {
        (Some(place), _) => format!(" It learns the secret from `{place}`."),
        (_, Some(place)) => format!(" Before the reply, it requests the URL in `{place}`."),
        (None, None) => String::new(),
    };
    format!(
        "{}{with}{without}: creel replies with {}{check}{signed}. It does not store the request.{does}",
        table.method, table.reply.status
    )
}

/// Describes a condition; settings are shown as the ends of their variables.
fn check(condition: &str) -> String {
    let compared = [(" = setting ", "equals"), (" in setting ", "is in")];
    compared
        .into_iter()
        .find_map(|(sign, verb)| {
            let (place, setting) = condition.split_once(sign)?;
            Some(format!("`{place}` {verb} `_{}`", setting.trim().to_ascii_uppercase()))
        })
        .unwrap_or_else(|| format!("`{condition}`"))
}
