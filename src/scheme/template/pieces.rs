//! Templates in pieces, for texts that are built later, when the request is no longer available.

use super::super::place::Place;
use super::parts::Part;

/// One piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Literal(&'a str),
    Setting(&'a str),
    Place(&'a Place),
    /// The whole body.
    Body,
}

pub fn piece(part: &Part) -> Option<Piece<'_>> {
    match part {
        Part::Literal(text) => Some(Piece::Literal(text)),
        Part::Setting(name) => Some(Piece::Setting(name)),
        Part::Place(place) => Some(Piece::Place(place)),
        Part::Body => Some(Piece::Body),
        _ => None,
    }
}
