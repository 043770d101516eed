//! Compiles `src/malloc.c`, a setting of glibc's allocator, and links it into the binaries. Removes
//! the indentation of `docs/openapi.json`, which the API returns.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    compile_allocator_settings();
    compact_api_description();
}

fn compile_allocator_settings() {
    println!("cargo::rerun-if-changed=src/malloc.c");
    let objects = cc::Build::new().file("src/malloc.c").warnings_into_errors(true).compile_intermediates();
    for object in objects {
        println!("cargo::rustc-link-arg-bins={}", object.display());
    }
}

fn compact_api_description() {
    const SOURCE: &str = "docs/openapi.json";
    println!("cargo::rerun-if-changed={SOURCE}");
    let document = fs::read_to_string(SOURCE).expect("docs/openapi.json is readable");
    // A JSON string cannot contain a line break.
    let compact: String = document.lines().map(str::trim_start).collect();
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("set by Cargo")).join("openapi.json");
    fs::write(target, compact).expect("OUT_DIR is writable");
}
