//! A template as its pieces, for texts that are put together later, when the request is no longer there.

use super::super::place::Place;
use super::{Part, Template};

/// One piece of such a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Literal(&'a str),
    Setting(&'a str),
    Place(&'a Place),
    /// The whole body.
    Body,
}

impl Template {
    /// `None` where it has a part that only a request can give.
    pub fn pieces(&self) -> Option<Vec<Piece<'_>>> {
        self.0.iter().map(piece).collect()
    }

    /// Whether it can be made from settings and what a login gave.
    pub fn needs_no_request(&self) -> bool {
        let needs_none = |part: &Part| {
            matches!(part, Part::Literal(_) | Part::Setting(_) | Part::Basic { .. } | Part::Login)
        };
        self.0.iter().all(needs_none)
    }

    /// Whether it can be divided in one way only, since what varies in it is one part.
    pub fn has_one_part(&self) -> bool {
        self.0.iter().filter(|part| !matches!(part, Part::Literal(_) | Part::Setting(_))).count() <= 1
    }

    /// A value for a named part of the layout, as a sender may write it.
    pub fn sample_of_layout(&self, name: &str) -> String {
        let names = self.0.iter().find_map(|part| match part {
            Part::HeadersOfLayout(named) if named.part == name => named.sample(),
            _ => None,
        });
        names.unwrap_or_else(|| "sample".to_owned())
    }

    pub fn has_login(&self) -> bool {
        self.0.contains(&Part::Login)
    }
}

fn piece(part: &Part) -> Option<Piece<'_>> {
    match part {
        Part::Literal(text) => Some(Piece::Literal(text)),
        Part::Setting(name) => Some(Piece::Setting(name)),
        Part::Place(place) => Some(Piece::Place(place)),
        Part::Body => Some(Piece::Body),
        _ => None,
    }
}
