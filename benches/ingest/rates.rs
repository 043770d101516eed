//! Messages stored per second, against the handler that stores nothing and against other ways of
//! storing.

use crate::Outcome;
use crate::machine::Usage;
use crate::options::Options;
use crate::payload::BodySize;
use crate::report::{Bound, Report, median, number, with_spread};
use crate::rows;
use crate::runs::{Run, fresh_directory, run, workers_of_creel};
use crate::server::{Kind, database};

#[derive(Debug, Default)]
struct Rounds {
    bare: Vec<Run>,
    durable: Vec<Run>,
    subscribed: Vec<Run>,
    transactions: Vec<Run>,
    /// Rows per second.
    raw: Vec<f64>,
}

pub fn measure(options: &Options, report: &mut Report) -> Outcome<()> {
    let workers = workers_of_creel(options)?;
    report.figure("worker threads per server", "", workers.to_string());
    for size in BodySize::BOTH {
        let mut rounds = Rounds::default();
        for round in 1..=options.rounds {
            eprintln!("rates, {}: round {round} of {}", size.name(), options.rounds);
            rounds.bare.push(run(Kind::Bare, size, workers, options)?);
            rounds.durable.push(run(Kind::Creel, size, workers, options)?);
            rounds.subscribed.push(run(Kind::Subscribed, size, workers, options)?);
            rounds.transactions.push(run(Kind::Transactions, size, workers, options)?);
            let directory = fresh_directory(options)?;
            rounds.raw.push(rows::raw_insert_rate(&database(directory.path()), size, options.run)?);
        }
        rounds.report(size, report);
    }
    Ok(())
}

impl Rounds {
    fn report(&self, size: BodySize, report: &mut Report) {
        let body = size.name();
        let rate = |runs: &[Run]| runs.iter().map(|run| run.tally.rate()).collect::<Vec<_>>();
        let (bare, durable, transactions) = (rate(&self.bare), rate(&self.durable), rate(&self.transactions));
        report.figure("bare handler", body, with_spread(&bare, "/s"));
        report.figure("durable", body, with_spread(&durable, "/s"));
        report.figure("raw inserts, batches of 64, one thread", body, with_spread(&self.raw, "/s"));
        report.figure("one transaction per request", body, with_spread(&transactions, "/s"));
        self.compare_with_bare(body, median(&durable) / median(&bare), size, report);
        report.figure("durable ÷ raw inserts", body, number(median(&durable) / median(&self.raw)));
        let subscribed = rate(&self.subscribed);
        report.figure("durable, one target subscribed", body, with_spread(&subscribed, "/s"));
        let share = median(&subscribed) / median(&durable);
        report.figure("one target subscribed ÷ none", body, number(share));
        let gain = median(&durable) / median(&transactions);
        report.bounded("durable ÷ one transaction per request", body, gain, "", Bound::AtLeast(6.0));
        report.figure("processors in the bare run", body, processors(&self.bare));
        report.figure("processors in the durable run", body, processors(&self.durable));
        let rejected: u64 = self.durable.iter().map(|run| run.tally.rejected).sum();
        if rejected > 0 {
            report.note(format!("{rejected} requests of the durable runs at {body} were not acknowledged"));
        }
    }

    fn compare_with_bare(&self, body: &str, ratio: f64, size: BodySize, report: &mut Report) {
        let wanted = match size {
            BodySize::Tiny | BodySize::Small => 0.6,
            BodySize::Large => 0.4,
        };
        let doubts: Vec<_> = self.bare.iter().filter_map(|run| run.usage.other_bottleneck()).collect();
        // The median is valid as long as most runs are.
        match doubts.first() {
            Some(why) if 2 * doubts.len() >= self.bare.len() => {
                report.void("durable ÷ bare handler", body, ratio, why);
            }
            _ => report.bounded("durable ÷ bare handler", body, ratio, "", Bound::AtLeast(wanted)),
        }
    }
}

fn processors(runs: &[Run]) -> String {
    let middle =
        |share: fn(&Usage) -> f64| median(&runs.iter().map(|run| share(&run.usage)).collect::<Vec<_>>());
    format!(
        "client {:.2}, server {:.2}, others {:.2}, idle {:.2}",
        middle(|usage| usage.client),
        middle(|usage| usage.server),
        middle(|usage| usage.others),
        middle(|usage| usage.idle)
    )
}
