//! Progress and notices, on stderr.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use console::Term;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Serialize;

use super::display::thousands;
use crate::error::Error;
use crate::train::Observer;
use crate::zoo::{Model, Zoo};

/// Writes one line to stderr. If nobody reads it, nothing is lost.
pub(super) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A bar for bytes on their way, behind `what`; hidden if stderr is no terminal.
pub(super) fn transfer_bar(what: &str) -> ProgressBar {
    let target = match io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let bar = ProgressBar::with_draw_target(None, target);
    let template = format!(
        "{what} [{{bar:32}}] {{bytes}} of {{total_bytes}}, {{bytes_per_sec}}, {{eta}} to go"
    );
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// How progress is shown, on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressFormat {
    /// A bar if standard error is a terminal
    Auto,
    /// A bar in any case
    Bar,
    /// A JSON object on a line of its own, every ten seconds and at the end
    Json,
    /// Nothing
    None,
}

/// From one JSON object to the next: a day of them is a megabyte and a half.
const JSON_EVERY: Duration = Duration::from_secs(10);

/// How far training is. Its unit is the epoch, since that is what takes time.
#[derive(Clone)]
pub(super) struct Progress(Arc<Inner>);

struct Inner {
    /// Hidden unless a bar is wanted.
    bar: ProgressBar,
    json: bool,
    zoo: String,
    models: u64,
    epochs_per_model: u64,
    /// Images of an epoch of training.
    images: u64,
    begun: Instant,
    models_trained: AtomicU64,
    epochs_trained: AtomicU64,
    /// Trained by an earlier run that was interrupted.
    epochs_resumed: AtomicU64,
    steps_trained: AtomicU64,
}

/// How far training is, as `--progress json` says it.
#[derive(Serialize)]
struct Report<'a> {
    zoo: &'a str,
    /// Models to train in this run, and those finished.
    models: u64,
    models_trained: u64,
    /// Epochs to train in this run, and those finished.
    epochs: u64,
    epochs_trained: u64,
    /// Optimiser steps.
    steps_trained: u64,
    elapsed_s: f64,
    /// Since the beginning; models count by their epochs.
    models_per_s: f64,
    steps_per_s: f64,
    /// Null before the first epoch.
    eta_s: Option<f64>,
}

impl Progress {
    /// Progress over `models` of `zoo`, which is trained on `images`.
    pub(super) fn new(format: ProgressFormat, zoo: &Zoo, models: usize, images: usize) -> Self {
        let target = match format {
            ProgressFormat::Auto if io::stderr().is_terminal() => ProgressDrawTarget::stderr(),
            ProgressFormat::Bar => {
                ProgressDrawTarget::term_like_with_hz(Box::new(Term::buffered_stderr()), 5)
            }
            _ => ProgressDrawTarget::hidden(),
        };
        let (models, epochs_per_model) = (models as u64, zoo.epochs() as u64);
        let bar = ProgressBar::with_draw_target(Some(models * epochs_per_model), target);
        let template = "training [{bar:24}] {msg}, {elapsed} gone, {to_go} to go";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> ").with_key("to_go", to_go));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let progress = Self(Arc::new(Inner {
            bar,
            json: format == ProgressFormat::Json,
            zoo: zoo.name().to_owned(),
            models,
            epochs_per_model,
            images: images as u64,
            begun: Instant::now(),
            models_trained: AtomicU64::new(0),
            epochs_trained: AtomicU64::new(0),
            epochs_resumed: AtomicU64::new(0),
            steps_trained: AtomicU64::new(0),
        }));
        progress.show_bar();
        progress
    }

    /// Writes a JSON object now and then, if they are wanted; never returns.
    pub(super) async fn report(self) {
        loop {
            tokio::time::sleep(JSON_EVERY).await;
            if self.0.json {
                self.write_json();
            }
        }
    }

    /// Ends the bar, or writes the last object.
    pub(super) fn finish(&self) -> Duration {
        self.0.bar.finish_and_clear();
        if self.0.json {
            self.write_json();
        }
        self.0.begun.elapsed()
    }

    /// Writes a line above the bar.
    pub(super) fn note(&self, line: &str) {
        self.0.bar.suspend(|| note(line));
    }

    fn write_json(&self) {
        if let Ok(line) = serde_json::to_string(&self.now()) {
            note(&line);
        }
    }

    fn show_bar(&self) {
        let report = self.now();
        self.0.bar.set_message(format!(
            "{}/{} models, {:.3} models/s, {} steps/s",
            thousands(report.models_trained),
            thousands(report.models),
            report.models_per_s,
            thousands(report.steps_per_s as u64),
        ));
    }

    fn now(&self) -> Report<'_> {
        let Inner { zoo, models, epochs_per_model, begun, .. } = &*self.0;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (epochs_trained, steps_trained) =
            (count(&self.0.epochs_trained), count(&self.0.steps_trained));
        let epochs = models * epochs_per_model;
        let elapsed_s = begun.elapsed().as_secs_f64();
        let per_s = |amount: f64| if elapsed_s > 0.0 { amount / elapsed_s } else { 0.0 };
        let to_go = epochs.saturating_sub(epochs_trained + count(&self.0.epochs_resumed)) as f64;
        Report {
            zoo,
            models: *models,
            models_trained: count(&self.0.models_trained),
            epochs,
            epochs_trained,
            steps_trained,
            elapsed_s,
            models_per_s: per_s(epochs_trained as f64 / *epochs_per_model as f64),
            steps_per_s: per_s(steps_trained as f64),
            eta_s: (epochs_trained > 0 || to_go == 0.0)
                .then(|| to_go * elapsed_s / epochs_trained.max(1) as f64),
        }
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
    fn epoch_finished(&self, model: &Model, epoch: usize) {
        if epoch == 0 {
            return;
        }
        let steps = self.0.images.div_ceil(model.hyper.batch_size as u64);
        self.0.steps_trained.fetch_add(steps, Ordering::Relaxed);
        self.0.epochs_trained.fetch_add(1, Ordering::Relaxed);
        self.0.models_trained.fetch_add(u64::from(epoch == model.hyper.epochs), Ordering::Relaxed);
        self.0.bar.inc(1);
        self.show_bar();
    }

    fn resumed(&self, model: &Model, epoch: usize) {
        self.0.epochs_resumed.fetch_add(epoch as u64, Ordering::Relaxed);
        self.0.models_trained.fetch_add(u64::from(epoch == model.hyper.epochs), Ordering::Relaxed);
        self.0.bar.inc(epoch as u64);
        self.0.bar.reset_eta();
        self.show_bar();
        self.note(&format!("`{}` goes on after epoch {epoch}", model.name));
    }

    fn distrusted(&self, model: &Model, problem: &Error) {
        self.note(&format!("note: `{}` goes on from an earlier epoch: {problem}", model.name));
    }
}
