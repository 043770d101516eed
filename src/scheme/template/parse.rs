//! Parses the text of a template into its parts.

use super::super::error::SyntaxError;
use super::parts::Part;
use super::section;

/// Returns the parts of a template, at least one.
///
/// # Errors
/// The problem with the text.
pub fn parts(text: &str) -> Result<Vec<Part>, SyntaxError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(start);
        literal.push_str(before);
        if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
            literal.push_str(&brace[..1]);
            rest = after;
            continue;
        }
        let section = brace.strip_prefix("{?");
        let split = match section {
            Some(inner) => split_section(inner),
            None => brace.strip_prefix('{').and_then(|inner| inner.split_once('}')),
        };
        let (name, after) = split.ok_or_else(|| format!("`{text}` has an unmatched brace"))?;
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(match section {
            Some(_) => Part::Section(section_parts(name)?),
            None => Part::parse(name)?,
        });
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    section::check(&parts)?;
    if parts.is_empty() { Err("is empty".into()) } else { Ok(parts) }
}

/// Splits the text after `{?` at the brace that ends the section.
fn split_section(text: &str) -> Option<(&str, &str)> {
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

/// Parses the parts of a section.
fn section_parts(text: &str) -> Result<Vec<Part>, SyntaxError> {
    let parts = parts(text)?;
    let is_place = |part: &&Part| matches!(part, Part::Place(_) | Part::QueryInLowerCase(_));
    let is_fixed = |part: Option<&Part>| matches!(part, Some(Part::Literal(_)));
    let places = parts.iter().filter(is_place).count();
    let literals = parts.iter().filter(|part| is_fixed(Some(part))).count();
    if places == 0 || places + literals < parts.len() {
        return Err(format!(
            "`{{?{text}}}` must contain header, query, json or form places, and otherwise only fixed text"
        )
        .into());
    }
    if !is_fixed(parts.first()) || !is_fixed(parts.last()) {
        return Err(format!("`{{?{text}}}` must begin and end with fixed text").into());
    }
    Ok(parts)
}
