//! Sections that are omitted if a part of them is absent: `{?id:{query:data.id};}`.
//!
//! A signed text must show which of its parts were present. Otherwise an attacker could omit a part
//! and move its text into another part, and the signature would still match. So a template with
//! sections is accepted only if its text can be read in one way, and a value that contains the
//! section's closing text is rejected.

use super::super::error::SyntaxError;
use super::parts::Part;

/// Checks that the text can be read in one way only.
///
/// # Errors
/// The problem with the text.
pub fn check(parts: &[Part]) -> Result<(), SyntaxError> {
    let sections = parts.iter().enumerate().filter(|(_, part)| matches!(part, Part::Section(_)));
    for (at, section) in sections {
        let Some(own) = head(section) else { continue };
        for next in &parts[at + 1..] {
            let Some(other) = head(next) else {
                return Err("must have fixed text after an optional section".into());
            };
            if own.starts_with(other) || other.starts_with(own) {
                return Err(format!(
                    "cannot distinguish the section that begins with `{own}` from `{other}`"
                )
                .into());
            }
            if matches!(next, Part::Literal(_)) {
                break;
            }
        }
    }
    if has_any(parts) { check_ends(parts) } else { Ok(()) }
}

/// Checks that fixed text follows each value but the last.
fn check_ends(parts: &[Part]) -> Result<(), SyntaxError> {
    for pair in parts.windows(2) {
        if !matches!(pair, [Part::Literal(_) | Part::Section(_), _] | [_, Part::Literal(_)]) {
            return Err("must have fixed text between its parts, since one of them is optional".into());
        }
    }
    let inner =
        parts.iter().filter_map(|part| if let Part::Section(inner) = part { Some(inner) } else { None });
    inner.map(Vec::as_slice).try_for_each(check_ends)
}

/// The fixed text that a part begins with.
fn head(part: &Part) -> Option<&str> {
    match part {
        Part::Literal(text) => Some(text),
        Part::Section(parts) => parts.first().and_then(head),
        _ => None,
    }
}

pub fn has_any(parts: &[Part]) -> bool {
    parts.iter().any(|part| matches!(part, Part::Section(_)))
}
