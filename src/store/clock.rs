//! The time and the entropy of commits: the one place that asks the machine.

#![expect(clippy::disallowed_methods, reason = "this is that place")]

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Now, in UTC, with microseconds: `2026-11-23T12:00:00.000000Z`.
pub(super) fn now() -> String {
    Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// So long ago, in UTC.
pub(super) fn before(ago: Duration) -> DateTime<Utc> {
    Utc::now() - ago
}

/// A name no other writer will choose; names sort by the time they were made.
pub(super) fn unique() -> String {
    format!("{:014x}-{}", Utc::now().timestamp_micros(), Uuid::new_v4().simple())
}

/// A number no other writer will choose, in decimal digits.
pub(super) fn unique_digits() -> String {
    Uuid::new_v4().as_u128().to_string()
}

/// How long to wait before trying again after `lost` lost races: up to
/// 10 ms · 2^lost, capped at a second, drawn anew by each writer.
pub(super) fn back_off(lost: u32) -> Duration {
    let ceiling = 10_u64.saturating_mul(1 << lost.min(7)).min(1000);
    let jitter = Uuid::new_v4().as_u128() % u128::from(ceiling);
    Duration::from_millis(1 + u64::try_from(jitter).unwrap_or(0))
}
