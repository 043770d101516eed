//! Sources and targets, as far as their variables are of the same form: a prefix, the name, a key.

/// What there may be several of, each with a name and variables of its own.
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

    /// How every variable of one begins.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Source => "CREEL_SOURCE_",
            Self::Target => "CREEL_TARGET_",
        }
    }

    /// As the table writes that.
    pub fn pattern(self) -> &'static str {
        match self {
            Self::Source => "CREEL_SOURCE_<NAME>_",
            Self::Target => "CREEL_TARGET_<NAME>_",
        }
    }

    /// An example of a variable's name.
    pub fn example(self) -> &'static str {
        match self {
            Self::Source => "CREEL_SOURCE_MY_SHOP_SECRET",
            Self::Target => "CREEL_TARGET_MY_SHOP_URL",
        }
    }
}
