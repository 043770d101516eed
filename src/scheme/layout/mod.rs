//! The layout of signatures in a value, given by example: `sha256={signature}`,
//! `t={ts},v1={signature}`, `v1,{signature} v1,{signature}`, `{ts},{signature},{signature}`.

mod elements;

use crate::content::request::Cause;
use crate::scheme::error::SyntaxError;
use elements::elements;
pub use elements::{MAX_CANDIDATES, MAX_JOINED_LINES, Pairs, Slices};

const SIGNATURE: &str = "signature";
/// Limit on the keys of a layout of pairs.
const MAX_PAIRS: usize = 32;

/// The place of the encoded signatures within a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The whole value.
    Raw,
    /// The rest after a fixed prefix that names the algorithm or version: `sha256=…`.
    Prefix(String),
    /// Elements that begin with a label: `v1,… v1,…`.
    List { separator: u8, label: String },
    /// `key=value` elements, such as `t=…,v1=…`. One key, which may repeat, holds the signatures.
    Pairs(Pairs),
    /// Several groups of pairs separated by spaces, each with its own timestamp.
    Groups(Pairs),
    /// Named parts in a fixed order, then any number of signatures.
    Positions { separator: u8, before: Vec<String> },
}

impl Layout {
    /// Parses an example of a value.
    ///
    /// # Errors
    /// The problem with the example.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let elements = placeholders(text)?;
        let signatures = elements.iter().filter(|element| element.name == SIGNATURE).count();
        if signatures == 0 {
            return Err(format!("`{text}` has no place for the signature; write {{signature}}").into());
        }
        let [first, rest @ ..] = elements.as_slice() else { return Err("is empty".into()) };
        if rest.is_empty() {
            let is_pair = first.label.len() > 1 && first.label.ends_with('=') && !first.after.is_empty();
            return match (first.label.as_str(), first.after.as_str()) {
                (_, after) if is_pair || !after.is_empty() => {
                    Err(format!("`{text}` ends in `{after}`, which is not supported").into())
                }
                ("", _) => Ok(Self::Raw),
                (label, _) => Ok(Self::Prefix(label.to_owned())),
            };
        }
        if signatures == 2 && elements.len() == 2 && elements[0].label == elements[1].own_label() {
            let separator = separator(&elements[1].between(), text)?;
            return Ok(Self::List { separator, label: first.label.clone() });
        }
        if elements.iter().all(|element| element.own_label().is_empty()) {
            let separator = separator(&elements[1].between(), text)?;
            let before = elements.iter().take_while(|element| element.name != SIGNATURE);
            return Ok(Self::Positions {
                separator,
                before: before.map(|element| element.name.clone()).collect(),
            });
        }
        Self::parse_pairs(text)
    }

    fn parse_pairs(text: &str) -> Result<Self, SyntaxError> {
        if let Some((first, second)) = text.split_once(' ')
            && first == second
        {
            return match Self::parse(first)? {
                Self::Pairs(pairs) => Ok(Self::Groups(pairs)),
                _ => Err(format!("`{text}` repeats a part that is not a list of pairs").into()),
            };
        }
        let elements = placeholders(text)?;
        if elements.len() > MAX_PAIRS {
            return Err(format!("`{text}` has more than {MAX_PAIRS} parts").into());
        }
        let between = elements.get(1).map(Element::between).unwrap_or_default();
        let separator = separator(&between, text)?;
        let mut pairs = Pairs {
            separator,
            signature: String::new(),
            named: Vec::new(),
            written_separator: between,
            signature_first: elements.first().is_some_and(|element| element.name == SIGNATURE),
        };
        for element in &elements {
            let key = element.own_label().strip_suffix('=').filter(|key| !key.is_empty()).map(str::to_owned);
            let key = key.ok_or_else(|| format!("`{text}` mixes pairs with other elements"))?;
            if element.name == SIGNATURE {
                pairs.signature = key;
            } else {
                pairs.named.push((key, element.name.clone()));
            }
        }
        Ok(Self::Pairs(pairs))
    }

    /// Whether a template may use a part of that name.
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::Pairs(pairs) | Self::Groups(pairs) => pairs.named.iter().any(|(_, named)| named == name),
            Self::Positions { before, .. } => before.iter().any(|named| named == name),
            Self::Raw | Self::Prefix(_) | Self::List { .. } => false,
        }
    }

    /// Whether it consists of pairs.
    pub const fn has_pairs(&self) -> bool {
        matches!(self, Self::Pairs(_) | Self::Groups(_))
    }

    /// Whether a value has a pair with that key.
    pub fn has_pair(&self, value: &[u8], key: &str) -> bool {
        match self {
            Self::Pairs(pairs) | Self::Groups(pairs) => pairs.values(value, key).next().is_some(),
            Self::Raw | Self::Prefix(_) | Self::List { .. } | Self::Positions { .. } => false,
        }
    }

    /// Whether a value may hold several signatures, so that several header lines form one list (RFC
    /// 9110, 5.3).
    pub const fn is_list(&self) -> bool {
        !matches!(self, Self::Raw | Self::Prefix(_))
    }

    /// Whether a part's position determines its meaning. Joined lines change positions.
    pub const fn is_positional(&self) -> bool {
        matches!(self, Self::Positions { .. })
    }

    /// Returns the corresponding layout for a header that the sender writes once per signature.
    /// Proxies join its lines with commas.
    pub fn repeated(self) -> Self {
        match self {
            Self::Raw => Self::Positions { separator: b',', before: Vec::new() },
            Self::Prefix(label) => Self::List { separator: b',', label },
            list => list,
        }
    }

    /// Returns the independent parts of a value, each with its own timestamp and signatures.
    pub fn groups<'a>(&self, value: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let splits = matches!(self, Self::Groups(_));
        let parts = value.split(move |byte| splits && *byte == b' ');
        let parts = parts.filter(move |part| !splits || !part.is_empty());
        let joined = move |part: &'a [u8]| match self {
            Self::Pairs(pairs) | Self::Groups(pairs) => pairs.groups(part),
            Self::Raw | Self::Prefix(_) | Self::List { .. } | Self::Positions { .. } => Slices::of(part),
        };
        parts.flat_map(joined).take(MAX_CANDIDATES)
    }

    /// Returns the encoded signatures in a value.
    ///
    /// # Errors
    /// `UnknownAlgorithm` if the value has this layout with other names; `MalformedSignature` if it
    /// has another layout, or too many candidates.
    pub fn candidates<'a>(&self, value: &'a [u8]) -> Result<Slices<'a>, Cause> {
        let some = |found: Option<Slices<'a>>| {
            let found = found.ok_or(Cause::MalformedSignature)?;
            Ok((!found.as_slice().is_empty()).then_some(found))
        };
        match self {
            Self::Raw => Ok(Slices::of(value)),
            Self::Prefix(prefix) => match value.strip_prefix(prefix.as_bytes()) {
                Some(signature) => Ok(Slices::of(signature)),
                None => Err(unlabelled([value].into_iter(), prefix)),
            },
            Self::List { separator, label } => {
                let all = || elements(value, *separator, |rest| begins_with(rest, label));
                // Some senders put commas between the elements as well.
                let labelled = |element: &'a [u8]| {
                    let element = element.strip_suffix(b",").unwrap_or(element);
                    element.strip_prefix(label.as_bytes())
                };
                some(Slices::collect(all().filter_map(labelled)))?.ok_or_else(|| unlabelled(all(), label))
            }
            Self::Pairs(pairs) | Self::Groups(pairs) => {
                let found = some(Slices::collect(pairs.values(value, &pairs.signature)))?;
                found.ok_or_else(|| unlabelled(pairs.elements(value), "="))
            }
            Self::Positions { separator, before } => {
                let signatures = elements(value, *separator, |_| false).skip(before.len());
                some(Slices::collect(signatures))?.ok_or(Cause::MalformedSignature)
            }
        }
    }

    /// Returns the part with that name, which must occur exactly once.
    ///
    /// # Errors
    /// `MalformedSignature` if it is absent or ambiguous.
    pub fn named<'a>(&self, value: &'a [u8], name: &str) -> Result<&'a [u8], Cause> {
        match self {
            Self::Pairs(pairs) | Self::Groups(pairs) => {
                let key = pairs.named.iter().find(|(_, named)| named == name).map(|(key, _)| key);
                let mut values = pairs.values(value, key.ok_or(Cause::MalformedSignature)?);
                match (values.next(), values.next()) {
                    (Some(value), None) => Ok(value),
                    _ => Err(Cause::MalformedSignature),
                }
            }
            Self::Positions { separator, before } => {
                let place = before.iter().position(|named| named == name);
                let found = place.and_then(|place| elements(value, *separator, |_| false).nth(place));
                found.ok_or(Cause::MalformedSignature)
            }
            Self::Raw | Self::Prefix(_) | Self::List { .. } => Err(Cause::MalformedSignature),
        }
    }

    /// Builds a value with one signature, as the sender writes it; `part` returns the named parts.
    pub fn compose(&self, signature: &str, part: impl Fn(&str) -> String) -> String {
        match self {
            Self::Raw => signature.to_owned(),
            Self::Prefix(prefix) => format!("{prefix}{signature}"),
            Self::List { label, .. } => format!("{label}{signature}"),
            Self::Pairs(pairs) | Self::Groups(pairs) => {
                let own = format!("{}={signature}", pairs.signature);
                let named = pairs.named.iter().map(|(key, name)| format!("{key}={}", part(name)));
                let elements: Vec<String> = if pairs.signature_first {
                    std::iter::once(own).chain(named).collect()
                } else {
                    named.chain(std::iter::once(own)).collect()
                };
                elements.join(&pairs.written_separator)
            }
            Self::Positions { separator, before } => {
                let named = before.iter().map(|name| part(name));
                let elements: Vec<String> = named.chain(std::iter::once(signature.to_owned())).collect();
                elements.join(&char::from(*separator).to_string())
            }
        }
    }
}

/// A placeholder of the example with the text before it.
#[derive(Debug)]
struct Element {
    label: String,
    name: String,
    /// The text after the last placeholder; empty for other elements.
    after: String,
    is_first: bool,
}

impl Element {
    /// Returns the label without the separator from the previous element.
    fn own_label(&self) -> &str {
        if self.is_first { &self.label } else { self.label.trim_start_matches([',', ';', '&', ' ']) }
    }

    fn between(&self) -> String {
        self.label[..self.label.len() - self.own_label().len()].to_owned()
    }
}

fn placeholders(text: &str) -> Result<Vec<Element>, SyntaxError> {
    let mut elements: Vec<Element> = Vec::new();
    let mut rest = text;
    while let Some((label, tail)) = rest.split_once('{') {
        let (name, after) = tail.split_once('}').ok_or_else(|| format!("`{text}` has an unmatched brace"))?;
        let element = Element {
            label: label.to_owned(),
            name: name.to_owned(),
            after: String::new(),
            is_first: elements.is_empty(),
        };
        elements.push(element);
        rest = after;
    }
    match elements.last_mut() {
        Some(last) => rest.clone_into(&mut last.after),
        None => {
            return Err(format!("`{text}` has no place for the signature; write {{signature}}").into());
        }
    }
    Ok(elements)
}

fn separator(between: &str, text: &str) -> Result<u8, SyntaxError> {
    match between.trim_end_matches(' ').as_bytes() {
        [one] => Ok(*one),
        [] if !between.is_empty() => Ok(b' '),
        _ => Err(format!("`{text}` must have one of `,` `;` `&` or a space between its parts").into()),
    }
}

/// Whether a text begins with the label; false if the label is empty.
fn begins_with(text: &[u8], label: &str) -> bool {
    !label.is_empty() && text.starts_with(label.as_bytes())
}

/// Returns the cause for a missing label: `UnknownAlgorithm` if an element has another name in its
/// place, otherwise `MalformedSignature`.
fn unlabelled<'a>(mut elements: impl Iterator<Item = &'a [u8]>, label: &str) -> Cause {
    let delimiter = label.bytes().last();
    let named = elements.any(|element| {
        let end = element.iter().position(|byte| Some(*byte) == delimiter);
        end.is_some_and(|end| is_name(&element[..end]))
    });
    if named { Cause::UnknownAlgorithm } else { Cause::MalformedSignature }
}

/// Limits the length, so that base64 before its padding is not mistaken for the name of an
/// algorithm.
fn is_name(text: &[u8]) -> bool {
    (1..=20).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}

#[cfg(test)]
mod tests;
