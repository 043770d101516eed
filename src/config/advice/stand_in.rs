//! Values that are not secrets: placeholders, unexpanded variables, references, and common guesses.

/// Prefixes of common placeholders, including those in `.env.example`. Values are compared in lower
/// case and without `-`, `_`, `.` and spaces.
const PLACEHOLDERS: [&str; 25] = [
    "addyour",
    "changeit",
    "changeme",
    "changethis",
    "enteryour",
    "examplesecret",
    "inserthere",
    "insertyour",
    "<paste",
    "paste",
    "placeholder",
    "putyour",
    "redacted",
    "replaceme",
    "replacethis",
    "replacewith",
    "setme",
    "yourapikey",
    "yourkey",
    "yourpassword",
    "yoursecret",
    "yoursharedsecret",
    "yoursigning",
    "yourtoken",
    "yourwebhook",
];
/// Guessable words. The whole value is compared, converted as for placeholders, and without digits
/// and `!` at its end.
const GUESSABLE_WORDS: [&str; 14] = [
    "admin",
    "default",
    "letmein",
    "mysecret",
    "password",
    "passw0rd",
    "qwertyuiop",
    "secret",
    "secretkey",
    "supersecret",
    "topsecret",
    "webhook",
    "webhooksecret",
    "webhooksigningsecret",
];
/// Prefixes of references to a secret in another program, such as a vault.
const REFERENCES: [&str; 18] = [
    "op://",
    "vault://",
    "vault:",
    "secret://",
    "secretref:",
    "awssm://",
    "aws-sm://",
    "arn:aws:secretsmanager:",
    "arn:aws:ssm:",
    "gcpsm://",
    "gcp-secret://",
    "sm://",
    "keyvault://",
    "@Microsoft.KeyVault(",
    "doppler://",
    "infisical://",
    "bws://",
    "ENC[",
];
const PATHS: [&str; 4] = ["/run/", "/etc/", "/var/", "file:/"];
/// Words that mark the text before the first `=` or `:` of a value as the name of a variable.
const SECRET_WORDS: [&str; 5] = ["CREEL", "KEY", "PASS", "SECRET", "TOKEN"];
/// Maximum length, in characters, of a repeated unit that is reported. A longer unit can itself be
/// a key in hex or base64.
const MAX_REPEATED_CHARACTERS: usize = 12;
/// Minimum length of a reported sequence; shorter values are reported for their length.
const MIN_COUNTED_CHARACTERS: usize = 16;

/// Returns the reason why a value is not a secret. `text`: the whole value; `bare`: the value
/// without the prefix of the provider's secrets.
pub fn problem(text: &str, bare: &str) -> Option<String> {
    let (text, bare) = (text.trim(), bare.trim());
    if is_unexpanded(text) {
        return Some(
            "is an unexpanded variable: env files and `docker run --env-file` do not expand variables; set \
             the value itself"
                .to_owned(),
        );
    }
    if let Some(name) = assigned_variable(text) {
        return Some(format!(
            "begins with the name of a variable ({name}), which becomes part of the value; remove it"
        ));
    }
    if REFERENCES.iter().any(|begin| text.starts_with(begin)) {
        return Some(
            "is a reference to a secret that is stored elsewhere; set the value itself, or name a file with it in …_FILE"
                .to_owned(),
        );
    }
    if PATHS.iter().any(|begin| text.starts_with(begin)) {
        return Some("is the path of a file; set the path in the variable that ends in _FILE".to_owned());
    }
    let word = words_of(bare);
    if PLACEHOLDERS.iter().any(|begin| word.starts_with(begin)) || is_abridged(bare) {
        return Some(
            "is a placeholder from an example; set the real value (`creel secret` makes a random one)"
                .to_owned(),
        );
    }
    if GUESSABLE_WORDS.contains(&word.trim_end_matches(|last: char| last.is_ascii_digit() || last == '!')) {
        return Some("is a common word, and easy to guess; `creel secret` makes a random value".to_owned());
    }
    let problem = if is_repeated(bare, 1) {
        "is one character repeated"
    } else if is_counted(bare) {
        "is a sequence of characters in their usual order"
    } else if (2..=MAX_REPEATED_CHARACTERS).any(|length| is_repeated(bare, length)) {
        "is a short text repeated"
    } else {
        return None;
    };
    Some(format!("{problem}, and easy to guess; `creel secret` makes a random value"))
}

fn words_of(text: &str) -> String {
    text.chars().filter(|character| !"-_. ".contains(*character)).collect::<String>().to_ascii_lowercase()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}

/// Whether the text is `$NAME`, `$(command)`, `{{ name }}` or `%NAME%`, or contains `${NAME}`.
fn is_unexpanded(text: &str) -> bool {
    let within = |open: &str, close: &str| text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    let in_braces = |rest: &str| {
        let name =
            rest.split_once('}').map(|(inner, _)| inner.split([':', '-', '?']).next().unwrap_or(inner));
        name.is_some_and(is_name)
    };
    text.strip_prefix('$').is_some_and(|name| is_name(name) && name.to_ascii_uppercase() == name)
        || text.split("${").skip(1).any(in_braces)
        || within("$(", ")").is_some()
        || within("{{", "}}").is_some()
        || within("%", "%").is_some_and(is_name)
}

/// Returns the name before the value in `SECRET=…` and `export SECRET=…`; `:` may replace `=`.
fn assigned_variable(text: &str) -> Option<&str> {
    let exported = ["export ", "set ", "ENV ", "$env:"].iter().find_map(|begin| text.strip_prefix(begin));
    let (name, value) = exported.unwrap_or(text).split_once(['=', ':'])?;
    let name = name.trim_end();
    let upper = name.to_ascii_uppercase();
    let is_of_secret = exported.is_some() || SECRET_WORDS.iter().any(|word| upper.contains(word));
    // A trailing `=` is base64 padding.
    let has_value = !value.trim_matches('=').is_empty();
    let is_variable = exported.is_some() || upper == name;
    (is_name(name) && is_of_secret && is_variable && has_value).then_some(name)
}

/// Whether the text is abridged or in angle brackets: `whsec_...`, `abc…`, `<secret>`.
fn is_abridged(text: &str) -> bool {
    text.ends_with("...") || text.contains('…') || (text.starts_with('<') && text.ends_with('>'))
}

/// Whether the text repeats its first `length` characters to its end, with at least two copies.
fn is_repeated(text: &str, length: usize) -> bool {
    let characters: Vec<char> = text.chars().collect();
    characters.len() >= 2 * length
        && characters.iter().zip(&characters[length..]).all(|(one, next)| one == next)
}

/// Whether the characters count up or down, as in `12345678901234567890` and `abcdefghijklmnop…`.
fn is_counted(text: &str) -> bool {
    let follows = |one: u8, next: u8| {
        let is_next = one.is_ascii_alphanumeric() && next == one + 1;
        is_next || matches!((one, next), (b'9', b'0') | (b'z', b'a') | (b'Z', b'A'))
    };
    let bytes = text.as_bytes();
    let pairs = || bytes.iter().zip(bytes.iter().skip(1));
    bytes.len() >= MIN_COUNTED_CHARACTERS
        && (pairs().all(|(one, next)| follows(*one, *next))
            || pairs().all(|(one, next)| follows(*next, *one)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_are_reported_by_kind() {
        let rows = [
            ("${GITHUB_SECRET}", "unexpanded variable"),
            ("${SECRET:-}", "unexpanded variable"),
            ("whsec_${SECRET}", "unexpanded variable"),
            ("$X", "unexpanded variable"),
            ("$GITHUB_SECRET", "unexpanded variable"),
            ("$(creel secret)", "unexpanded variable"),
            ("{{ secrets.github }}", "unexpanded variable"),
            ("%GITHUB_SECRET%", "unexpanded variable"),
            ("SECRET=8f742231b10e8888abcd99", "(SECRET)"),
            ("CREEL_SOURCE_GITHUB_SECRET=8f742231b10e8888abcd99", "name of a variable"),
            ("export SECRET=8f742231b10e8888abcd99", "(SECRET)"),
            ("export a=b", "(a)"),
            ("SECRET: 8f742231b10e8888abcd99", "(SECRET)"),
            ("op://vault/github/secret", "reference"),
            ("arn:aws:secretsmanager:eu-central-1:1:secret:a", "reference"),
            ("vault:secret/data/github#secret", "reference"),
            ("/run/secrets/github", "path of a file"),
            ("changeme-please-or-not", "placeholder"),
            ("change_me", "placeholder"),
            ("your_webhook_secret_here", "placeholder"),
            ("YOUR-SECRET", "placeholder"),
            ("whsec_...", "placeholder"),
            ("<secret>", "placeholder"),
            ("replace-me", "placeholder"),
            ("password123!", "common word"),
            ("my-secret", "common word"),
            ("Webhook_Secret_1", "common word"),
            ("secretsecretsecret", "short text repeated"),
            ("abcdabcdab", "short text repeated"),
            ("0000000000", "one character"),
            ("12345678901234567890", "usual order"),
            ("abcdefghijklmnopqrstuvwxyz", "usual order"),
            ("98765432109876543", "usual order"),
        ];
        for (text, part) in rows {
            let found = problem(text, text).unwrap_or_else(|| panic!("{text} is accepted"));
            assert!(found.contains(part), "{text}: {found}");
        }
    }

    #[test]
    fn genuine_values_are_accepted() {
        for text in [
            "It's a Secret to Everyone",
            "IsWishesWereHorsesWedAllBeEatingSteak!",
            "8f742231b10e8888abcd99yyyzzz85a5",
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
            "Ibxx_5AKakO-3qeNVR61Dw",
            "$2b$10$abcdefghijklmnopqrstuu",
            "$Kx9!fQ2",
            "KEYBOARD=",
            "c2VjcmV0LWtleS1vZi1hLXdlYmhvb2s=",
            "secretariat-of-the-north",
            "/Zm9vYmFyYmF6cXV4Zm9vYmE=",
            "Bearer 8f742231b10e8888",
            "0123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(problem(text, text), None, "{text}");
        }
    }
}
