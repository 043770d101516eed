//! A row of the table.

/// One environment variable.
#[derive(Debug)]
pub struct Variable {
    /// The complete name; a source's or target's starts with the pattern of its `Noun`.
    pub name: &'static str,
    pub absent: AbsentValue,
    /// Format of the value, for the documentation.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the generated documents contain it"))]
    pub unit: &'static str,
    /// Whether the documentation marks the value as secret. `creel check` examines the secrets of
    /// the service for mistakes.
    pub secret: bool,
    /// Markdown, one or two sentences without a full stop at the end.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the generated documents contain it"))]
    pub doc: &'static str,
    /// A value for `.env.example`.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the generated documents contain it"))]
    pub example: &'static str,
}

/// Behaviour of a variable that is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbsentValue {
    /// The text that is parsed instead.
    Default(&'static str),
    /// A description of the behaviour.
    Means(&'static str),
}
