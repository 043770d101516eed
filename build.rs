//! Compiles `src/malloc.c`, a setting of glibc's allocator, and links it into the binaries.

fn main() {
    println!("cargo::rerun-if-changed=src/malloc.c");
    let objects = cc::Build::new().file("src/malloc.c").warnings_into_errors(true).compile_intermediates();
    for object in objects {
        println!("cargo::rustc-link-arg-bins={}", object.display());
    }
}
