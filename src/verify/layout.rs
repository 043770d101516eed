//! How signatures are laid out in a value: the whole of it, behind a prefix, in a list, or among pairs.

use serde::Deserialize;

use super::request::Cause;

/// More candidates than any sender needs for rotating its keys; a value with more is refused unread.
pub const MAX_CANDIDATES: usize = 16;

/// Where in a value the encoded signatures are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// The whole value.
    Raw,
    /// Behind a fixed prefix that names the algorithm or version: `sha256=…`.
    Prefix(String),
    /// Elements that begin with a label: `v1,… v1,…`.
    List(List),
    /// `key=value` elements, of which one key, which may repeat, has the signatures: `t=…,v1=…`.
    Pairs(Pairs),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    pub separator: Separator,
    pub label: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    pub separator: Separator,
    pub signature: String,
}

/// One ASCII character between elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "char")]
pub struct Separator(u8);

impl TryFrom<char> for Separator {
    type Error = &'static str;

    fn try_from(character: char) -> Result<Self, Self::Error> {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => Ok(Self(byte)),
            _ => Err("a separator is one ASCII character"),
        }
    }
}

/// The encoded signatures found in a value; never empty.
#[derive(Debug)]
pub struct Candidates<'a> {
    found: [&'a [u8]; MAX_CANDIDATES],
    count: usize,
}

impl<'a> Candidates<'a> {
    pub fn as_slice(&self) -> &[&'a [u8]] {
        &self.found[..self.count]
    }

    fn collect(candidates: impl Iterator<Item = &'a [u8]>) -> Result<Option<Self>, Cause> {
        let mut collected = Self { found: [&[]; MAX_CANDIDATES], count: 0 };
        for candidate in candidates {
            let place = collected.found.get_mut(collected.count).ok_or(Cause::MalformedSignature)?;
            *place = candidate;
            collected.count += 1;
        }
        Ok((collected.count > 0).then_some(collected))
    }
}

impl Layout {
    /// # Errors
    /// `UnknownAlgorithm` where the value is laid out rightly but under other names,
    /// `MalformedSignature` where it is not, or has too many candidates.
    pub fn candidates<'a>(&self, value: &'a [u8]) -> Result<Candidates<'a>, Cause> {
        match self {
            Self::Raw => Candidates::collect(std::iter::once(value))?.ok_or(Cause::MalformedSignature),
            Self::Prefix(prefix) => {
                let found = Candidates::collect(value.strip_prefix(prefix.as_bytes()).into_iter())?;
                found.ok_or_else(|| unlabelled([value].into_iter(), prefix))
            }
            Self::List(list) => {
                let labelled = |element: &'a [u8]| element.strip_prefix(list.label.as_bytes());
                let found = Candidates::collect(elements(value, list.separator).filter_map(labelled))?;
                found.ok_or_else(|| unlabelled(elements(value, list.separator), &list.label))
            }
            Self::Pairs(pairs) => {
                let found = Candidates::collect(values_of(value, pairs.separator, &pairs.signature))?;
                found.ok_or_else(|| unlabelled(elements(value, pairs.separator), "="))
            }
        }
    }

    /// The value of a key that must be there exactly once; only pairs have one.
    ///
    /// # Errors
    /// `MalformedSignature` where it is absent or ambiguous.
    pub fn named<'a>(&self, value: &'a [u8], key: &str) -> Result<&'a [u8], Cause> {
        let Self::Pairs(pairs) = self else {
            return Err(Cause::MalformedSignature);
        };
        let mut values = values_of(value, pairs.separator, key);
        match (values.next(), values.next()) {
            (Some(value), None) => Ok(value),
            _ => Err(Cause::MalformedSignature),
        }
    }

    /// A value with one signature, as the sender writes it; `pairs` go before it where the layout has pairs.
    pub fn compose(&self, signature: &str, pairs: &[(&str, &str)]) -> String {
        match self {
            Self::Raw => signature.to_owned(),
            Self::Prefix(prefix) => format!("{prefix}{signature}"),
            Self::List(list) => format!("{}{signature}", list.label),
            Self::Pairs(layout) => {
                let before: String = pairs
                    .iter()
                    .map(|(key, value)| format!("{key}={value}{}", char::from(layout.separator.0)))
                    .collect();
                format!("{before}{}={signature}", layout.signature)
            }
        }
    }
}

/// The elements of a list; proxies are known to add spaces behind the separator.
fn elements(value: &[u8], separator: Separator) -> impl Iterator<Item = &[u8]> {
    value
        .split(move |byte| *byte == separator.0)
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

fn values_of<'a>(value: &'a [u8], separator: Separator, key: &str) -> impl Iterator<Item = &'a [u8]> {
    elements(value, separator).filter_map(move |pair| pair.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
}

/// Why no element has the label: another name stands in its place, or none at all.
fn unlabelled<'a>(mut elements: impl Iterator<Item = &'a [u8]>, label: &str) -> Cause {
    let delimiter = label.bytes().last();
    let named = elements.any(|element| {
        let end = element.iter().position(|byte| Some(*byte) == delimiter);
        end.is_some_and(|end| is_name(&element[..end]))
    });
    if named { Cause::UnknownAlgorithm } else { Cause::MalformedSignature }
}

/// Short enough that base64 before its padding does not pass for the name of an algorithm.
fn is_name(text: &[u8]) -> bool {
    (1..=20).contains(&text.len())
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(layout: &Layout, value: &str) -> Result<Vec<String>, Cause> {
        let candidates = layout.candidates(value.as_bytes())?;
        Ok(candidates.as_slice().iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
    }

    #[test]
    fn a_prefix_separates_other_algorithms_from_nonsense() {
        let layout = Layout::Prefix("sha256=".into());
        assert_eq!(found(&layout, "sha256=ab"), Ok(vec!["ab".into()]));
        assert_eq!(found(&layout, "sha256="), Ok(vec![String::new()]));
        for other in ["md5=ab", "sha1=ab", "SHA256=ab", "sha512="] {
            assert_eq!(found(&layout, other), Err(Cause::UnknownAlgorithm), "{other}");
        }
        for nonsense in ["ab", "=ab", "sha256", "wK8O5GHIQS3QMLzjXuCGXP/ApCQzeJOOH4AuAaf59Yw="] {
            assert_eq!(found(&layout, nonsense), Err(Cause::MalformedSignature), "{nonsense}");
        }
    }

    #[test]
    fn a_list_gives_every_element_with_the_label() {
        let layout = Layout::List(List { separator: Separator(b' '), label: "v1,".into() });
        assert_eq!(found(&layout, "v1,a v2,b  v1,c"), Ok(vec!["a".into(), "c".into()]));
        assert_eq!(found(&layout, "v9,a"), Err(Cause::UnknownAlgorithm));
        assert_eq!(found(&layout, "a"), Err(Cause::MalformedSignature));
    }

    #[test]
    fn pairs_give_the_signatures_and_exactly_one_named_value() {
        let layout = Layout::Pairs(Pairs { separator: Separator(b','), signature: "v1".into() });
        assert_eq!(found(&layout, "t=1, v1=a,v0=x,v1=b"), Ok(vec!["a".into(), "b".into()]));
        assert_eq!(found(&layout, "t=1,v9=a"), Err(Cause::UnknownAlgorithm));
        assert_eq!(layout.named(b"v1=a,t=1", "t"), Ok(&b"1"[..]));
        assert_eq!(layout.named(b"t=1,t=2,v1=a", "t"), Err(Cause::MalformedSignature));
        assert_eq!(layout.named(b"v1=a", "t"), Err(Cause::MalformedSignature));
    }

    #[test]
    fn too_many_candidates_are_refused_unread() {
        let layout = Layout::List(List { separator: Separator(b' '), label: "v1,".into() });
        assert_eq!(found(&layout, &"v1,a ".repeat(MAX_CANDIDATES)).map(|all| all.len()), Ok(MAX_CANDIDATES));
        assert_eq!(found(&layout, &"v1,a ".repeat(1_000)), Err(Cause::MalformedSignature));
    }
}
