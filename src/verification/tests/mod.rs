//! Tests of `examine`, from the request to the stored content.

mod one_reading;
mod signed_content;
