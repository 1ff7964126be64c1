//! What users do, tested as they do it. One binary: each one links DataFusion.

#![expect(clippy::unwrap_used, reason = "a test that fails shall panic")]

mod cli;
#[cfg(unix)]
mod cluster;
mod compat;
mod crash;
mod faults;
mod features;
mod fixture;
mod long;
#[cfg(target_os = "linux")]
mod memory;
mod named_queries;
mod networks;
mod operations;
mod paths;
mod prediction;
mod races;
mod requests;
mod scan;
mod slt;
mod store;
mod training;
mod vacuum;
mod wide_rows;

/// That of the program, since memory is measured here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
