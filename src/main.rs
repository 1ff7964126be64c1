//! The `zoolake` program: parses, runs, exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    zoolake::cli::main()
}
