//! Sections that are left out where a part of them is absent: `{?id:{query:data.id};}`.
//!
//! A signed text must say which of its parts were there. Otherwise a forger leaves a part out, moves its text into another
//! part, and the signature still fits. So a template with sections is only taken if its text can be read in one way, and a
//! value that holds the text that ends it is rejected.

use super::{Part, Scope, Template};
use crate::content::request::Cause;

/// What follows `{?`, split at the brace that ends the section.
pub fn split(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some((&text[..at], &text[at + 1..])),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The parts of a section.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(text: &str) -> Result<Vec<Part>, String> {
    let Template(parts) = Template::parse(text)?;
    let is_place = |part: &&Part| matches!(part, Part::Place(_) | Part::QueryInLowerCase(_));
    let is_fixed = |part: Option<&Part>| matches!(part, Some(Part::Literal(_)));
    let places = parts.iter().filter(is_place).count();
    let literals = parts.iter().filter(|part| is_fixed(Some(part))).count();
    if places == 0 || places + literals < parts.len() {
        return Err(format!("`{{?{text}}}` must hold header, query, json or form places, and nothing else"));
    }
    if !is_fixed(parts.first()) || !is_fixed(parts.last()) {
        return Err(format!("`{{?{text}}}` must begin and end with fixed text"));
    }
    Ok(parts)
}

/// Whether the text can be read in one way only.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check(parts: &[Part]) -> Result<(), String> {
    let sections = parts.iter().enumerate().filter(|(_, part)| matches!(part, Part::Section(_)));
    for (at, section) in sections {
        let Some(own) = head(section) else { continue };
        for next in &parts[at + 1..] {
            let Some(other) = head(next) else {
                return Err("must have fixed text after an optional section".to_owned());
            };
            if own.starts_with(other) || other.starts_with(own) {
                return Err(format!("cannot tell the section that begins with `{own}` from `{other}`"));
            }
            if matches!(next, Part::Literal(_)) {
                break;
            }
        }
    }
    if has_any(parts) { check_ends(parts) } else { Ok(()) }
}

/// Each value but the last of all must be followed by fixed text.
fn check_ends(parts: &[Part]) -> Result<(), String> {
    for pair in parts.windows(2) {
        if !matches!(pair, [Part::Literal(_) | Part::Section(_), _] | [_, Part::Literal(_)]) {
            return Err("must have fixed text between its parts, since one of them is optional".to_owned());
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

/// As `Template::feed`, for templates with sections.
pub fn feed(parts: &[Part], scope: &Scope<'_>, sink: &mut dyn FnMut(&[u8])) -> Result<(), Cause> {
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Literal(text) => sink(text.as_bytes()),
            Part::Section(inner) if is_there(inner, scope)? => feed(inner, scope, sink)?,
            Part::Section(_) => {}
            variable => {
                let value = variable.value(scope)?;
                if let Some(Part::Literal(end)) = parts.get(at + 1)
                    && !ends_at(&value, end.as_bytes())
                {
                    return Err(Cause::MalformedSignature);
                }
                sink(&value);
            }
        }
    }
    Ok(())
}

fn is_there(parts: &[Part], scope: &Scope<'_>) -> Result<bool, Cause> {
    for part in parts {
        if let Part::Place(place) | Part::QueryInLowerCase(place) = part
            && place.find(scope.view)?.is_none()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a reader finds the end of a value where it is, and not before.
fn ends_at(value: &[u8], end: &[u8]) -> bool {
    let text = [value, end].concat();
    text.windows(end.len()).position(|window| window == end) == Some(value.len())
}
