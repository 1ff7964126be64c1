//! The time and the entropy of commits: the one place that asks the machine, or
//! in a simulation a seed.

#![expect(clippy::disallowed_methods, reason = "this is that place")]

use std::cell::RefCell;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

/// While it lives, whatever this thread does with stores takes time, names and
/// waiting from a seed, so that it can happen again. For tests.
#[derive(Debug)]
#[must_use = "it ends when it is dropped"]
pub struct Simulation {
    /// Of one thread.
    _thread: PhantomData<*const ()>,
}

struct Simulated {
    rng: ChaCha8Rng,
    micros: i64,
}

thread_local! {
    static SIMULATED: RefCell<Option<Simulated>> = const { RefCell::new(None) };
}

impl Simulation {
    /// Begins one, in place of the one there is.
    pub fn begin(seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        // 2026-01-01, midnight.
        let micros = 1_767_225_600_000_000;
        SIMULATED.set(Some(Simulated { rng, micros }));
        Self { _thread: PhantomData }
    }

    /// The time as stores see it on this thread, and as what keeps their objects must.
    pub fn now() -> DateTime<Utc> {
        moment()
    }

    /// Lets so much time pass in the simulation of this thread.
    pub fn pass(time: Duration) {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        simulated(|simulated| simulated.micros = simulated.micros.saturating_add(micros));
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        SIMULATED.set(None);
    }
}

/// What a simulation of this thread gives, if there is one.
fn simulated<T>(of: impl FnOnce(&mut Simulated) -> T) -> Option<T> {
    SIMULATED.with_borrow_mut(|simulated| simulated.as_mut().map(of))
}

/// Microseconds since 1970. In a simulation a millisecond passes between two looks.
fn micros() -> i64 {
    let simulated = simulated(|simulated| {
        simulated.micros += 1000;
        simulated.micros
    });
    simulated.unwrap_or_else(|| Utc::now().timestamp_micros())
}

/// The same as a point in time.
fn moment() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros()).unwrap_or_default()
}

/// A number no other writer will draw.
fn drawn() -> u128 {
    let two =
        |rng: &mut ChaCha8Rng| (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64());
    simulated(|simulated| two(&mut simulated.rng)).unwrap_or_else(|| Uuid::new_v4().as_u128())
}

/// Now, in UTC, with microseconds: `2026-11-23T12:00:00.000000Z`.
pub(super) fn now() -> String {
    moment().to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// So long ago, in UTC; at most the beginning of time.
pub(super) fn before(ago: Duration) -> DateTime<Utc> {
    let ago = TimeDelta::from_std(ago).ok();
    ago.and_then(|ago| moment().checked_sub_signed(ago)).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// A name no other writer will choose; names sort by the time they were made.
pub(super) fn unique() -> String {
    format!("{:014x}-{:032x}", micros(), drawn())
}

/// A number no other writer will choose, in decimal digits.
pub(super) fn unique_digits() -> String {
    drawn().to_string()
}

/// Waits before trying again after `lost` lost races: up to 10 ms · 2^lost,
/// capped at a second, drawn anew by each writer. In a simulation others have a
/// turn for each millisecond.
pub(super) async fn back_off(lost: u32) {
    let ceiling = 10_u64.saturating_mul(1 << lost.min(7)).min(1000);
    let jitter = u64::try_from(drawn() % u128::from(ceiling)).unwrap_or(0);
    let millis = 1 + jitter;
    if simulated(|_| ()).is_none() {
        return tokio::time::sleep(Duration::from_millis(millis)).await;
    }
    let mut left = millis;
    poll_fn(|context| {
        left -= 1;
        match left {
            0 => Poll::Ready(()),
            _ => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    })
    .await;
}
