//! The binary: parse, dispatch, exit code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use creel::Arguments;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Must run first: afterwards, other processes of this user cannot read the secrets in this
    // process's environment.
    creel::protect_secrets();
    creel::run(Arguments::parse())
}
