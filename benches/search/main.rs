//! Benchmark of searches: the real server with the search index, and `LIKE` over the same table. It
//! measures and reports; it never fails because of a slow query. See docs/benchmarks.md.

#[path = "../ingest/machine.rs"]
#[expect(dead_code, reason = "the ingest benchmark uses more of it")]
mod machine;
#[path = "../ingest/report.rs"]
#[expect(dead_code, reason = "the ingest benchmark uses more of it")]
mod report;

mod content;
mod measure;
mod queries;
mod server;

use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use creel::testing::{Store, StoreOptions};

use content::Generator;
use measure::{ClassTimes, median_like, text_bytes, times_of_class};
use queries::{QUERIES, QueryClass, classes};
use report::number;
use server::{Server, database};

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const HELP: &str = "\
Measures searches in 1,000,000 messages of 1 kB, and prints Markdown. Needs 4 GB of free space; without it, the
benchmark is skipped.

  cargo bench --bench search                        everything
  cargo bench --bench search -- --messages 50000    a smaller database

Environment:
  INGEST_DIRECTORY  where the database is created; must be on a real disk (default: below target/)
";
const MESSAGES: u64 = 1_000_000;
/// Messages that are not indexed in the second part.
const TAIL: u64 = 20_000;
const MIN_DISK_BYTES: u64 = 1_000_000_000;
const DISK_BYTES_PER_MESSAGE: u64 = 3_000;
/// Concurrent inserts.
const BATCH: usize = 256;
/// Queries of each class for the comparison of memory, in which each can take a second without the
/// index.
const MEMORY_QUERIES: usize = 20;
const LIKE_CLASSES: [&str; 3] = ["rare id", "absent word", "common word"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // Cargo also builds and runs benchmarks as tests, without this flag.
    if arguments.iter().any(|word| word == "--help") || !arguments.iter().any(|word| word == "--bench") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match messages(&arguments).and_then(measure) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("search: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the value of `--messages`.
fn messages(arguments: &[String]) -> Outcome<u64> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    match words[..] {
        [] => Ok(MESSAGES),
        ["--messages", text] => match text.parse() {
            Ok(messages) if messages > 0 => Ok(messages),
            _ => Err(format!("--messages: `{text}` is not a whole number above zero").into()),
        },
        _ => Err(format!("{}: unknown arguments\n\n{HELP}", words.join(" ")).into()),
    }
}

/// Measures everything, and returns the report.
fn measure(messages: u64) -> Outcome<String> {
    let parent = std::env::var_os("INGEST_DIRECTORY")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    fs::create_dir_all(&parent)?;
    machine::reject_memory_file_system(&parent)?;
    let needed = MIN_DISK_BYTES + messages * DISK_BYTES_PER_MESSAGE;
    let free = machine::free_disk_bytes(&parent)?;
    if free < needed {
        let skipped = format!(
            "**skipped**: {} has {} GB of free space, and the search benchmark needs {} GB\n",
            parent.display(),
            number(free as f64 / 1e9),
            number(needed as f64 / 1e9)
        );
        eprint!("{skipped}");
        return Ok(skipped);
    }
    let directory = tempfile::tempdir_in(&parent)?;
    let mut lines = rows(&machine::describe(&parent)?);
    let content = Generator::new(messages + TAIL);
    fill(directory.path(), &content, 1..=messages)?;
    let classes = classes(&content, messages)?;

    let mut figures = vec![("messages", messages.to_string())];
    let mut like = Vec::new();
    let indexed = measure_indexed(directory.path(), messages, &classes, &mut figures, &mut like)?;
    let with_tail = measure_tail(directory.path(), messages, &content, &classes)?;
    measure_memory(directory.path(), &classes, &mut figures)?;

    lines.extend(["".to_owned(), "| figure | measured |".to_owned(), "|---|---|".to_owned()]);
    lines.extend(figures.iter().map(|(name, value)| format!("| {name} | {value} |")));
    let heads = format!(
        "\n| {QUERIES} queries of each class | p50 | p99 | max, ms | complete \
         | {TAIL} not indexed: p50 | p99 | max, ms | complete |\n|---|---|---|---|---|---|---|---|---|"
    );
    lines.push(heads);
    for ((class, indexed), with_tail) in classes.iter().zip(&indexed).zip(&with_tail) {
        lines.push(format!("| {} | {} | {} |", class.name, indexed.cells(), with_tail.cells()));
    }
    lines.push("\n| class | `LIKE` p50, ms | search p50, ms | ratio |\n|---|---|---|---|".to_owned());
    lines.extend(like);
    if cfg!(debug_assertions) {
        lines.push("\n- not an optimised build: these figures mean nothing".to_owned());
    }
    Ok(lines.join("\n") + "\n")
}

fn rows(machine: &[(&'static str, String)]) -> Vec<String> {
    let head = ["| machine | |".to_owned(), "|---|---|".to_owned()];
    head.into_iter().chain(machine.iter().map(|(name, value)| format!("| {name} | {value} |"))).collect()
}

/// Stores messages with the library, without an index.
fn fill(directory: &Path, content: &Generator, numbers: RangeInclusive<u64>) -> Outcome<()> {
    eprintln!("search: inserting messages {numbers:?}");
    let numbers: Vec<u64> = numbers.collect();
    let options = StoreOptions {
        path: database(directory),
        key: None,
        checkpoint: true,
        min_free_bytes: 1,
        search: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(&options)?;
        let ingest = store.ingest();
        for batch in numbers.chunks(BATCH) {
            let deadline = Instant::now() + Duration::from_secs(60);
            let receipts = batch.iter().map(|number| {
                let message = content.sample(*number).into_new_message(content.received_at(*number));
                ingest.keep(message, deadline)
            });
            for receipt in futures_util::future::join_all(receipts).await {
                receipt?;
            }
        }
        store.close(Duration::from_secs(60)).await;
        Ok(())
    })
}

/// Measures all classes and `LIKE` with a complete index.
fn measure_indexed(
    directory: &Path,
    messages: u64,
    classes: &[QueryClass],
    figures: &mut Vec<(&'static str, String)>,
    like: &mut Vec<String>,
) -> Outcome<Vec<ClassTimes>> {
    let server = Server::start(directory, &[])?;
    let (status, took) = server.wait_for_index("ready", 0)?;
    let per_message = took.as_secs_f64() * 1e6 / messages as f64;
    figures.push(("start to complete index", format!("{} s", number(took.as_secs_f64()))));
    figures.push(("the same for each message", format!("{} µs", number(per_message))));
    let index_bytes = status["bytes"].as_u64().ok_or("the status has no size")?;
    let text_bytes = text_bytes(directory)?;
    figures.push(("index", format!("{} MB", number(index_bytes as f64 / 1e6))));
    figures.push(("text", format!("{} MB", number(text_bytes as f64 / 1e6))));
    figures.push(("index ÷ text", number(index_bytes as f64 / text_bytes as f64)));
    let times = measure_classes(&server, classes, QUERIES as usize)?;
    figures.push(("RSS of the server after the queries", megabytes(server.resident_bytes()?)));
    for name in LIKE_CLASSES {
        let found = classes.iter().zip(&times).find(|(class, _)| class.name == name);
        let (class, times) = found.ok_or("unknown class")?;
        let milliseconds = median_like(directory, class)?;
        let ratio = number(milliseconds / times.p50());
        like.push(format!("| {name} | {} | {} | {ratio} |", number(milliseconds), number(times.p50())));
    }
    server.stop()?;
    Ok(times)
}

/// Adds messages, and measures all classes while the index waits for free disk space. A store
/// without an index deletes its files, so they are moved away meanwhile.
fn measure_tail(
    directory: &Path,
    messages: u64,
    content: &Generator,
    classes: &[QueryClass],
) -> Outcome<Vec<ClassTimes>> {
    let aside = directory.join("aside");
    fs::create_dir(&aside)?;
    move_index(directory, &aside)?;
    fill(directory, content, messages + 1..=messages + TAIL)?;
    move_index(&aside, directory)?;
    // The index stops below twice this value.
    let min_free_bytes = machine::free_disk_bytes(directory)? / 10 * 6;
    let server = Server::start(directory, &[("CREEL_MIN_FREE", min_free_bytes.to_string())])?;
    server.wait_for_index("waiting", TAIL)?;
    let times = measure_classes(&server, classes, QUERIES as usize)?;
    server.wait_for_index("waiting", TAIL)?;
    server.stop()?;
    Ok(times)
}

fn move_index(from: &Path, to: &Path) -> Outcome<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("creel.db.search") {
            fs::rename(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Compares the memory of two new processes after the same queries. The second one deletes the
/// index, so this is the last measurement.
fn measure_memory(
    directory: &Path,
    classes: &[QueryClass],
    figures: &mut Vec<(&'static str, String)>,
) -> Outcome<()> {
    let server = Server::start(directory, &[])?;
    server.wait_for_index("ready", 0)?;
    measure_classes(&server, classes, MEMORY_QUERIES)?;
    let with_index = server.resident_bytes()?;
    server.stop()?;
    let server = Server::start(directory, &[("CREEL_SEARCH", "off".to_owned())])?;
    measure_classes(&server, classes, MEMORY_QUERIES)?;
    let without_index = server.resident_bytes()?;
    server.stop()?;
    figures.push(("RSS after 20 queries of each class", megabytes(with_index)));
    figures.push(("the same with `CREEL_SEARCH=off`", megabytes(without_index)));
    Ok(())
}

fn measure_classes(server: &Server, classes: &[QueryClass], limit: usize) -> Outcome<Vec<ClassTimes>> {
    let measure = |class: &QueryClass| {
        let times = times_of_class(server, class, limit)?;
        eprintln!("  {}: {} (p50, p99, max, complete)", class.name, times.cells());
        Ok(times)
    };
    classes.iter().map(measure).collect()
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", number(bytes as f64 / 1e6))
}
