//! Sources and targets. The variables of both consist of a prefix, the name and a key.

/// A kind of object that has a name and its own variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    Source,
    Target,
}

impl Noun {
    pub const ALL: [Self; 2] = [Self::Source, Self::Target];

    pub fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Target => "target",
        }
    }

    /// Returns the prefix of the variables of this kind.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Source => "CREEL_SOURCE_",
            Self::Target => "CREEL_TARGET_",
        }
    }

    /// Returns the prefix as written in the table.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Source => "CREEL_SOURCE_<NAME>_",
            Self::Target => "CREEL_TARGET_<NAME>_",
        }
    }

    /// Returns an example of a variable's name.
    pub fn example(self) -> &'static str {
        match self {
            Self::Source => "CREEL_SOURCE_MY_SHOP_SECRET",
            Self::Target => "CREEL_TARGET_MY_SHOP_URL",
        }
    }
}
