//! Standard output.

use std::io::{self, ErrorKind, Write};

use crate::error::{Error, Kind, Result};

/// Standard output that ends the program, successfully and silently, when its
/// reader has gone: `zoolake sql … | head` is no failure.
#[derive(Debug)]
pub(super) struct Stdout(io::Stdout);

impl Stdout {
    pub(super) fn new() -> Self {
        Self(io::stdout())
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        quit_if_broken(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        quit_if_broken(self.0.flush())
    }
}

/// Writes text to standard output.
pub(super) fn print(text: &str) -> Result<()> {
    Stdout::new().write_all(text.as_bytes()).map_err(|error| {
        Error::new(Kind::Unavailable, format!("cannot write to standard output: {error}"))
    })
}

#[expect(clippy::exit, reason = "nobody is left to read; writers of result formats hide the cause")]
fn quit_if_broken<T>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        result => result,
    }
}
