//! Sealed values: the key, and what is encrypted with it.

pub mod forget;
pub mod key;
pub mod sealer;
