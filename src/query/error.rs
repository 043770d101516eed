//! Errors of the parser.

/// The mistake in a query, and its position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{hint} (at byte {position})", hint = hint(self.nearest.as_deref()))]
pub struct QueryError {
    /// Byte offset of the mistake.
    pub position: usize,
    pub reason: String,
    /// A key or word of the language similar to the written one, as it would be written.
    pub nearest: Option<String>,
}

impl QueryError {
    pub fn new(position: usize, reason: impl Into<String>) -> Self {
        Self { position, reason: reason.into(), nearest: None }
    }

    pub fn with_nearest(self, nearest: Option<String>) -> Self {
        Self { nearest, ..self }
    }
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}
