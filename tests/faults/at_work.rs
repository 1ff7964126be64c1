//! Who is at work since when: what a vacuum must keep is younger than that.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use zoolake::store::Simulation;

/// When those began that are at work.
#[derive(Debug, Clone, Default)]
pub(super) struct AtWork(Arc<Mutex<Vec<Weak<DateTime<Utc>>>>>);

/// Somebody is at work until the last clone of it goes. Requests that take effect late
/// have one.
pub(super) type Shift = Arc<DateTime<Utc>>;

/// A copy takes over what was sent within a day before; with an hour to spare.
const TAKEN_OVER_FOR: Duration = Duration::from_secs(25 * 3600);

impl AtWork {
    pub(super) fn begin(&self) -> Shift {
        let shift = Arc::new(Simulation::now());
        self.0.lock().unwrap().push(Arc::downgrade(&shift));
        shift
    }

    /// The least that a vacuum may be told to keep.
    pub(super) fn older_than(&self) -> Duration {
        let mut shifts = self.0.lock().unwrap();
        shifts.retain(|shift| shift.strong_count() > 0);
        let begun = shifts.iter().filter_map(Weak::upgrade).map(|begun| *begun).min();
        let longest = begun.map(|begun| (Simulation::now() - begun).to_std().unwrap());
        longest.unwrap_or_default() + TAKEN_OVER_FOR
    }
}
