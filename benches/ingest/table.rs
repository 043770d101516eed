//! Effect of a large `messages` table on the rate of the server.

use crate::Outcome;
use crate::options::Options;
use crate::payload::BodySize;
use crate::report::{Bound, Report, median, with_spread};
use crate::runs::{fill, fresh_directory, run, run_in, sync};
use crate::server::{Kind, Server};

pub fn measure(options: &Options, report: &mut Report) -> Outcome<()> {
    let size = BodySize::Small;
    eprintln!("table: filling it with {} rows", options.table_rows);
    let full_directory = fresh_directory(options)?;
    let server = Server::start(Kind::Creel, full_directory.path(), 0)?;
    server.wait_until_ready()?;
    let rows = fill(&server, size, options.table_rows)?;
    server.stop()?;
    let (mut empty, mut full) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        eprintln!("table: round {round} of {}", options.rounds);
        empty.push(run(Kind::Creel, size, 0, options)?.tally.rate());
        sync(full_directory.path())?;
        full.push(run_in(full_directory.path(), Kind::Creel, size, 0, options)?.tally.rate());
    }
    let body = size.name();
    report.figure("durable, empty table", body, with_spread(&empty, "/s"));
    report.figure(&format!("durable, {rows} rows in the table"), body, with_spread(&full, "/s"));
    report.bounded("full ÷ empty table", body, median(&full) / median(&empty), "", Bound::AtLeast(0.9));
    Ok(())
}
