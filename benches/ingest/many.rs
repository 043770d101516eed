//! Effect of 1,000 sources and 1,000 targets.

use crate::Outcome;
use crate::client::Client;
use crate::options::Options;
use crate::payload::BodySize;
use crate::report::Report;
use crate::runs::fresh_directory;
use crate::samples::{self, Sample};
use crate::server::{Kind, Server};

pub fn measure(options: &Options, report: &mut Report) -> Outcome<()> {
    let size = BodySize::Small;
    let (mut many, mut one) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        eprintln!("many: round {round} of {}", options.rounds);
        let directory = fresh_directory(options)?;
        let server = Server::start(Kind::Creel, directory.path(), 0)?;
        one.push(Sample::take(&server, |server| Client::connect(server.address(), size), options)?);
        server.stop()?;
        let directory = fresh_directory(options)?;
        let server = Server::start(Kind::Many, directory.path(), 0)?;
        let connect = |server: &Server| Client::connect_to_many_sources(server.address(), size);
        many.push(Sample::take(&server, connect, options)?);
        server.stop()?;
    }
    samples::report("1,000 sources and targets ÷ one source", size.name(), &many, &one, report);
    Ok(())
}
