//! Sealed values, and the key that encrypts them.

pub mod forget;
pub mod key;
pub mod sealer;
