//! Patterns of names, in which `*` stands for any characters.

/// Whether a text matches a pattern. Linear in the length of the text for each part of the pattern.
pub fn matches_pattern(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').map_or((None, rest), |(middle, tail)| (Some(middle), tail));
    // The first match of a part leaves the most text for the others.
    for part in middle.into_iter().flat_map(|middle| middle.split('*')) {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(tail)
}

/// Returns the text of an event after the name of its source; the whole event if it does not begin
/// with its source, as emitted events.
pub fn event_type<'a>(source: &str, event: &'a str) -> &'a str {
    event.strip_prefix(source).and_then(|rest| rest.strip_prefix('.')).unwrap_or(event)
}
