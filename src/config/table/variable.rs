//! A row of the table.

/// One environment variable.
#[derive(Debug)]
pub struct Variable {
    /// The whole name; a source's or target's begin with the pattern of their `Noun`.
    pub name: &'static str,
    pub absent: Absent,
    /// What the value is written in, as the reader of the documentation is told.
    pub unit: &'static str,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// Markdown, one sentence or two, without a full stop at the end.
    pub doc: &'static str,
    /// A value for `.env.example`.
    pub example: &'static str,
}

/// What holds when a variable is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// This text is parsed instead.
    Default(&'static str),
    /// What happens instead, in words.
    Means(&'static str),
}
