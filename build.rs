//! Compiles `src/malloc.c`, a setting of glibc's allocator, and links it into the binaries.
//! Compresses `docs/openapi.json`, which the API returns.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    compile_allocator_settings();
    compress_api_description();
}

fn compile_allocator_settings() {
    println!("cargo::rerun-if-changed=src/malloc.c");
    let objects = cc::Build::new().file("src/malloc.c").warnings_into_errors(true).compile_intermediates();
    for object in objects {
        println!("cargo::rustc-link-arg-bins={}", object.display());
    }
}

fn compress_api_description() {
    const SOURCE: &str = "docs/openapi.json";
    println!("cargo::rerun-if-changed={SOURCE}");
    let document = fs::read_to_string(SOURCE).expect("docs/openapi.json is readable");
    // A JSON string cannot contain a line break.
    let compact: String = document.lines().map(str::trim_start).collect();
    let target = PathBuf::from(env::var_os("OUT_DIR").expect("set by Cargo")).join("openapi.json.deflate");
    let compressed = miniz_oxide::deflate::compress_to_vec(compact.as_bytes(), 9);
    fs::write(target, compressed).expect("OUT_DIR is writable");
}
