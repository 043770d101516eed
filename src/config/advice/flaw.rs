//! Stray characters in a value, added by an editor, a shell or a copied page.

/// Pairs of opening and closing quotation marks.
const QUOTES: [(char, char); 7] =
    [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('„', '“'), ('‘', '’'), ('«', '»')];
const PEM: &str = "-----BEGIN ";

/// Whether white space around a value is part of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OuterSpace {
    Significant,
    Trimmed,
}

/// Describes the first kind of stray character in a value; `None` if the value has none.
pub fn flaw(text: &str, outer_space: OuterSpace) -> Option<String> {
    const PART_OF_VALUE: &str = "which becomes part of the value; remove it";
    let trimmed = text.trim();
    // White space does not matter in PEM and JSON keys.
    let is_structured = text.contains(PEM) || trimmed.starts_with('{');
    if text.starts_with('\u{feff}') {
        return Some(format!("begins with a byte order mark (BOM), {PART_OF_VALUE}"));
    }
    if text.contains(is_invisible) {
        return Some(format!("contains an invisible character, {PART_OF_VALUE}"));
    }
    if outer_space == OuterSpace::Significant && trimmed.len() < text.len() && !is_structured {
        return Some(format!("has white space or a line break at its beginning or end, {PART_OF_VALUE}"));
    }
    if trimmed.contains(['\n', '\r']) && !is_structured {
        return Some(format!("contains a line break, {PART_OF_VALUE}"));
    }
    let is_quoted = |(open, close): &(char, char)| trimmed.starts_with(*open) || trimmed.ends_with(*close);
    if let Some(addition) = addition(trimmed).filter(|_| !is_structured) {
        return Some(format!("{addition}, {PART_OF_VALUE}"));
    }
    QUOTES.iter().any(is_quoted).then(|| {
        "begins or ends with a quotation mark, which becomes part of the value (`docker run --env-file` and systemd's \
         credentials keep it); remove it"
            .to_owned()
    })
}

/// Describes text after the value that was copied together with the value from a script, YAML or an
/// env file.
fn addition(trimmed: &str) -> Option<&'static str> {
    let ends_with = |ends: &[&str]| ends.iter().any(|end| trimmed.ends_with(end));
    let is_plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte));
    if trimmed.split_once(" #").is_some_and(|(value, _)| is_plain(value.trim_end())) {
        return Some("ends with a comment (` #`)");
    }
    if ends_with(&["\\n", "\\r", "\\t"]) {
        return Some("ends with a backslash and a letter, which is not a line break");
    }
    let rest = trimmed.strip_suffix([';', ',']);
    rest.is_some_and(is_plain).then_some("ends with a semicolon or comma")
}

/// Whether the character has no width, or changes the text direction.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
        || (character.is_control() && !matches!(character, '\n' | '\r' | '\t'))
}
