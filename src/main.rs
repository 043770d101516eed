//! The binary: parse, dispatch, exit code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use creel::Arguments;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before anything is read: from here on, no other process of this
    // user can see the secrets in the environment.
    creel::protect_secrets();
    creel::run(Arguments::parse())
}
