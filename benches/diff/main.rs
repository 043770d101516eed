//! Time of the difference of two payloads of 1 MiB, close to the limits on values, words and lines.
//!
//! Run with `cargo bench --bench diff`. The limit is 200 ms, which is not asserted, because it
//! depends on the machine.

use std::hint::black_box;
use std::time::Duration;

use creel::testing::{ComparedBody, compare_bodies};
use criterion::Criterion;

const BYTES: usize = 1 << 20;
/// The limit on values is 20,000, which includes the list and, for objects, their members.
const VALUES: usize = 19_990;

/// Returns a JSON list of 1 MiB. The last item fills up the size.
fn list(items: impl Iterator<Item = String>) -> String {
    let mut text = format!("[{}", items.collect::<Vec<_>>().join(","));
    let filler = BYTES - text.len() - 4;
    text.push_str(&format!(",\"{}\"]", "x".repeat(filler)));
    assert_eq!(text.len(), BYTES);
    text
}

/// Returns objects of four values. The left and the right list share most of them.
fn objects(step: usize, id: &str) -> String {
    let object = |at: usize| {
        let value = at * step;
        let text =
            format!("a sentence of some words about number {value}, in each object of the list, and {at}");
        format!("{{\"{id}\":{at},\"value\":{value},\"text\":\"{text}\"}}")
    };
    list((0..VALUES / 4).map(object))
}

/// Returns scalars from few values, which have many equal pairs.
fn scalars(seed: u64) -> String {
    let mut state = seed;
    let scalar = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).rem_euclid(50).to_string()
    };
    list((0..VALUES).map(scalar))
}

/// Returns one text of words.
fn text(seed: u64) -> String {
    let mut state = seed;
    let word = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("word{}", (state >> 33).rem_euclid(300))
    };
    let words: Vec<String> = (0..9_900).map(word).collect();
    list([format!("\"{}\"", words.join(" "))].into_iter())
}

/// Returns a list with too many values, which is compared by lines. The limit is 25,000 lines.
fn lines(seed: u64) -> String {
    let mut state = seed;
    let scalar = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).rem_euclid(1_000).to_string()
    };
    list((0..24_900).map(scalar))
}

/// Returns a text that is not JSON, of long lines with the same beginning.
fn long_lines(seed: usize) -> String {
    let beginning = "x".repeat(300);
    (0..BYTES / 330).map(|at| format!("{beginning} line {:020}\n", seed * at + seed)).collect()
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .sample_size(20)
        .configure_from_args();
    let pairs = [
        ("objects by id", objects(3, "id"), objects(5, "id")),
        ("objects by position", objects(3, "at"), objects(5, "at")),
        ("scalars", scalars(1), scalars(2)),
        ("words", text(1), text(2)),
        ("lines", lines(1), lines(2)),
        ("long lines", long_lines(3), format!("first\n{}", long_lines(7))),
        ("equal", objects(3, "id"), objects(3, "id").replacen('[', "[ ", 1).replace("xx\"]", "x\"]")),
    ];
    let mut group = criterion.benchmark_group("difference of two payloads of 1 MiB");
    for (name, left, right) in &pairs {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let body =
                    |text| ComparedBody { bytes: text, payload: text.starts_with(b"[").then_some(text) };
                compare_bodies(body(black_box(left.as_bytes())), body(black_box(right.as_bytes())), false)
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
