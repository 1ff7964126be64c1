//! The command line: one file per subcommand.
//!
//! Owns stdout (data only), stderr (everything else), progress and exit codes:
//! 0 done, 1 failed, 2 wrong usage, 75 interrupted but resumable. The rest of
//! the library never prints.

mod benchmark;
mod checkpoint;
mod compact;
mod copy;
mod datasets;
mod demand;
mod demo;
mod describe;
mod device;
mod display;
mod drop;
mod duration;
mod ending;
mod env_vars;
mod features;
#[cfg(feature = "fetch")]
mod fetch;
mod io_stats;
mod log;
mod output;
mod place;
mod predict;
mod progress;
mod query;
mod shard;
mod signal;
mod sql;
mod stdout;
mod store_sink;
mod study;
mod train;
mod vacuum;
mod verify;
mod weights;
mod zoos;

use std::error::Error as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{Error, Kind, Result};

/// Train, store and query model zoos: populations of neural networks.
///
/// A store is a folder or a bucket of plain Parquet files, which pandas, Polars
/// and DuckDB read without zoolake. Start with `zoolake demo`.
#[derive(Debug, Parser)]
#[command(name = "zoolake", version, max_term_width = 100, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Zoos(zoos::Zoos),
    Train(train::Train),
    Sql(sql::Sql),
    Query(query::Query),
    Features(features::Features),
    Describe(describe::Describe),
    Predict(predict::Predict),
    Benchmark(benchmark::Benchmark),
    Datasets(datasets::Datasets),
    Log(log::Log),
    Verify(verify::Verify),
    Compact(compact::Compact),
    Vacuum(vacuum::Vacuum),
    Drop(drop::Drop),
    Copy(copy::Copy),
}

/// The failure of an interrupted run that running again resumes (`EX_TEMPFAIL`).
const EXIT_INTERRUPTED: u8 = 75;

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic is told like any other failure: see `report`.
    std::panic::set_hook(Box::new(|_| {}));
    let code = match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            match error.kind() {
                Kind::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
                _ => ExitCode::FAILURE,
            }
        }
    };
    io_stats::report();
    code
}

fn run(command: Command) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Long queries recurse deeply; only what is used of it takes memory.
        .thread_stack_size(256 << 20)
        .build()
        .map_err(|error| Error::internal("cannot start the runtime").with_source(error))?;
    let spawned = runtime.spawn(async move {
        match command {
            Command::Demo(demo) => demo.run().await,
            Command::Zoos(zoos) => zoos.run().await,
            Command::Train(train) => train.run().await,
            Command::Sql(sql) => sql.run().await,
            Command::Query(query) => query.run().await,
            Command::Features(features) => features.run().await,
            Command::Describe(describe) => describe.run().await,
            Command::Predict(predict) => predict.run().await,
            Command::Benchmark(benchmark) => benchmark.run().await,
            Command::Datasets(datasets) => datasets.run().await,
            Command::Log(log) => log.run().await,
            Command::Verify(verify) => verify.run().await,
            Command::Compact(compact) => compact.run().await,
            Command::Vacuum(vacuum) => vacuum.run().await,
            Command::Drop(drop) => drop.run().await,
            Command::Copy(copy) => copy.run().await,
        }
    });
    runtime
        .block_on(spawned)
        .map_err(|error| Error::internal("the command panicked").with_source(error))?
}

/// `error: what happened`, and what to do about it.
fn report(error: &Error) {
    progress::note(&format!("error: {error}"));
    if let Some(hint) = error.hint() {
        progress::note(&format!("hint: {hint}"));
    }
    if error.kind() == Kind::Internal {
        let mut cause = error.source();
        while let Some(error) = cause {
            progress::note(&format!("caused by: {error}"));
            cause = error.source();
        }
        progress::note("hint: this is a bug in zoolake: please report it");
    }
}
