# Commands of this project; `just` lists them. Each works without just, too.

_default:
    @just --list --unsorted

# Start creel without configuration
run *arguments:
    cargo run --release -- {{ arguments }}

# Run all checks and tests
test *options:
    scripts/test {{ options }}

# Run the unit tests of one module, such as `just unit store`
unit module:
    cargo test --lib {{ module }}

# Check the prose; with a path, only there
style *paths:
    scripts/check-style {{ paths }}

# Format the code
format:
    cargo fmt

# Lint the code
lint:
    cargo clippy --locked --all-targets -- -D warnings

# Rewrite generated documents
documents:
    UPDATE_DOCUMENTS=1 cargo test documents

# Run the examples
examples:
    scripts/examples-check

# Record docs/terminal.svg
record:
    scripts/record-terminal

# Measure ingest and deliveries
bench:
    cargo bench --bench ingest
    cargo bench --bench deliver

# Compare creel with other tools
race *arguments:
    scripts/race {{ arguments }}

# Run the long fault tests
faults group="":
    scripts/faults {{ group }}

# Fuzz all parsers
fuzz *arguments:
    scripts/fuzz {{ arguments }}

# Check the proxy configurations with the real proxies
proxies:
    scripts/proxies

# Build the container image and check its layout
image:
    scripts/image-check

# Compile with the oldest supported Rust
msrv:
    scripts/msrv-check

# Build the documentation of the crate
doc:
    scripts/doc-check
