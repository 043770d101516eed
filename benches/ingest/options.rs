//! Options from the command line and the environment.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::Outcome;

pub const HELP: &str = "\
Measures how fast creel stores webhooks, compared with a handler without storage.

  cargo bench --bench ingest                  everything, about 25 minutes
  cargo bench --bench ingest -- --quick       short runs: only shows that the benchmark works
  cargo bench --bench ingest -- rates disk    some sections alone
  cargo bench --bench ingest -- growth --rows 1000000
  cargo bench --bench ingest -- compare PATH  this build and another build of creel, in turns
  cargo bench --bench ingest -- load ADDRESS PROCESS
                                              a running server, for scripts/small-machine

Sections: rates latency wal memory start disk table growth many

Environment:
  INGEST_DIRECTORY     where databases and logs are made; must be on a real disk (default: below target/)
  INGEST_SECONDS       length of one run (default 5)
  INGEST_ROUNDS        runs of each kind, for which the median is reported (default 5)
  INGEST_LONG_SECONDS  length of the run that measures WAL and memory (default 60)
  INGEST_ROWS          rows of the full table (default 2000000)
  INGEST_GROWTH_ROWS   rows of the large file of `growth`, as --rows (default 10000000)
  INGEST_START_BYTES   bytes of headers and bodies in the databases of `start` and `disk` (default 1000000000)
";

/// A part of the benchmark that can run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    Rates,
    Latency,
    Wal,
    Memory,
    Start,
    Disk,
    Table,
    Growth,
    Many,
}

const SECTIONS: [(&str, Section); 9] = [
    ("rates", Section::Rates),
    ("latency", Section::Latency),
    ("wal", Section::Wal),
    ("memory", Section::Memory),
    ("start", Section::Start),
    ("disk", Section::Disk),
    ("table", Section::Table),
    ("growth", Section::Growth),
    ("many", Section::Many),
];

#[derive(Debug)]
pub struct Options {
    pub sections: BTreeSet<Section>,
    /// The other build for `compare`, which runs instead of the sections.
    pub compare: Option<PathBuf>,
    /// The running server for `load`, which runs instead of the sections: address and process.
    pub load: Option<(SocketAddr, u32)>,
    pub quick: bool,
    pub directory: PathBuf,
    pub warm_up: Duration,
    pub run: Duration,
    pub rounds: usize,
    pub long_run: Duration,
    pub start_bytes: u64,
    pub table_rows: u64,
    pub growth_rows: u64,
}

impl Options {
    /// Parses the words after `--` and the environment; an unknown word is an error.
    pub fn read(arguments: &[String]) -> Outcome<Self> {
        let mut sections = BTreeSet::new();
        let mut quick = false;
        let (mut compare, mut load, mut rows) = (None, None, None);
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => {}
                "compare" => compare = Some(binary(arguments.next())?),
                "load" => load = Some((word(&mut arguments)?.parse()?, word(&mut arguments)?.parse()?)),
                "--rows" => rows = Some(word(&mut arguments)?.parse()?),
                "--quick" => quick = true,
                word => {
                    let known = SECTIONS.iter().find(|(name, _)| *name == word);
                    let (_, section) = known.ok_or_else(|| format!("{word}: no such section\n\n{HELP}"))?;
                    sections.insert(*section);
                }
            }
        }
        if sections.is_empty() {
            sections.extend(SECTIONS.map(|(_, section)| section));
        }
        let standard = |full: u64, short: u64| if quick { short } else { full };
        let directory = std::env::var_os("INGEST_DIRECTORY");
        Ok(Self {
            sections,
            compare,
            load,
            quick,
            directory: directory.map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from),
            warm_up: Duration::from_millis(standard(1_000, 300)),
            run: Duration::from_secs(number("INGEST_SECONDS", standard(5, 1))?),
            rounds: usize::try_from(number("INGEST_ROUNDS", standard(5, 3))?)?,
            long_run: Duration::from_secs(number("INGEST_LONG_SECONDS", standard(60, 5))?),
            start_bytes: number("INGEST_START_BYTES", standard(1_000_000_000, 50_000_000))?,
            table_rows: number("INGEST_ROWS", standard(2_000_000, 50_000))?,
            growth_rows: match rows {
                Some(rows) => rows,
                None => number("INGEST_GROWTH_ROWS", standard(10_000_000, 50_000))?,
            },
        })
    }

    pub fn wants(&self, section: Section) -> bool {
        self.sections.contains(&section)
    }
}

fn word<'a>(arguments: &mut impl Iterator<Item = &'a String>) -> Outcome<&'a str> {
    arguments.next().map(String::as_str).ok_or_else(|| format!("a value is missing\n\n{HELP}").into())
}

/// Returns the absolute path, because each server runs in its own directory.
fn binary(path: Option<&String>) -> Outcome<PathBuf> {
    let path = path.ok_or("compare: the path of another build of creel is missing")?;
    let binary = std::fs::canonicalize(path).map_err(|error| format!("compare: {path}: {error}"))?;
    if binary.is_file() { Ok(binary) } else { Err(format!("compare: {path} is not a file").into()) }
}

/// Reads a positive whole number from the environment.
fn number(name: &str, default: u64) -> Outcome<u64> {
    match std::env::var(name) {
        Err(_) => Ok(default),
        Ok(text) => match text.parse() {
            Ok(value) if value > 0 => Ok(value),
            _ => Err(format!("{name}: `{text}` is not a whole number above zero").into()),
        },
    }
}
