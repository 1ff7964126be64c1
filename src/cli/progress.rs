//! Progress and notices, on stderr.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::error::Error;
use crate::train::Observer;
use crate::zoo::Model;

/// Writes one line to stderr. If nobody reads it, nothing is lost.
pub(super) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// How far training is. Its unit is the epoch, since that is what takes time;
/// its bar is drawn only if stderr is a terminal.
#[derive(Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
    epochs_per_model: usize,
    begun: Instant,
}

impl Progress {
    /// Progress over `models` of `epochs` training epochs each.
    pub(super) fn new(models: usize, epochs: usize) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some((models * epochs) as u64), target);
        let template = "training [{bar:32}] {msg}  {elapsed} gone, {to_go} to go";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> ").with_key("to_go", to_go));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let progress = Self { bar, epochs_per_model: epochs, begun: Instant::now() };
        progress.show();
        progress
    }

    /// Ends the bar.
    pub(super) fn finish(&self) -> Duration {
        self.bar.finish_and_clear();
        self.begun.elapsed()
    }

    /// Writes a line above the bar.
    pub(super) fn note(&self, line: &str) {
        self.bar.suspend(|| note(line));
    }

    fn show(&self) {
        let models = |epochs: u64| epochs / self.epochs_per_model.max(1) as u64;
        let (done, all) = (models(self.bar.position()), models(self.bar.length().unwrap_or(0)));
        self.bar.set_message(format!("{done}/{all} models"));
    }
}

/// The time left; nothing can be said before the first epoch.
fn to_go(state: &ProgressState, out: &mut dyn fmt::Write) {
    let _ = match state.pos() {
        0 => write!(out, "?"),
        _ => write!(out, "{:#}", HumanDuration(state.eta())),
    };
}

impl Observer for Progress {
    fn epoch_finished(&self, _model: &Model, epoch: usize) {
        if epoch > 0 {
            self.bar.inc(1);
            self.show();
        }
    }

    fn resumed(&self, model: &Model, epoch: usize) {
        self.bar.inc(epoch as u64);
        self.bar.reset_eta();
        self.show();
        self.note(&format!("`{}` goes on after epoch {epoch}", model.name));
    }

    fn distrusted(&self, model: &Model, problem: &Error) {
        self.note(&format!("note: `{}` goes on from an earlier epoch: {problem}", model.name));
    }
}
