//! Durations as people write and read them: `2h30m`.

use std::time::Duration;

use crate::error::{Error, Result};

/// Units and their seconds, the longest first.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

/// A hundred years: longer than any wait, and far from any overflow.
const MAX_SECONDS: u64 = 100 * 365 * 86_400;

/// Reads `90m`, `2h30m`, `3600s`: whole numbers, each with a unit, the longest
/// unit first.
pub(super) fn parse(text: &str) -> Result<Duration> {
    let wrong =
        || Error::invalid("expected a duration above 0 such as `90m`, `2h30m`, `3600s` or `1d`");
    let mut units = UNITS.iter();
    let mut seconds = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let count: u64 = rest[..end].parse().map_err(|_| wrong())?;
        let unit = rest[end..].chars().next();
        let (_, length) = units.find(|(name, _)| Some(*name) == unit).ok_or_else(wrong)?;
        seconds = seconds.saturating_add(count.saturating_mul(*length));
        rest = &rest[end + 1..];
    }
    match seconds {
        1..=MAX_SECONDS => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

/// The two longest units of a duration: `2h 30m`, `45s`, `0.3s`.
pub(super) fn show(seconds: f64) -> String {
    if seconds < 9.5 {
        return format!("{seconds:.1}s");
    }
    // What is not finite or absurdly long is shown as the largest number there is.
    let whole = seconds.round() as u64;
    let first = UNITS.iter().position(|(_, length)| whole >= *length).unwrap_or(UNITS.len() - 1);
    let (name, length) = UNITS[first];
    match UNITS.get(first + 1) {
        None => format!("{whole}{name}"),
        Some((second, shorter)) => {
            format!("{}{name} {}{second}", whole / length, whole % length / shorter)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, seconds) in
            [("90m", 5400), ("2h30m", 9000), ("3600s", 3600), ("1d", 86_400), ("1d1s", 86_401)]
        {
            assert_eq!(parse(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        for text in ["", "90", "0s", "m", "2m1h", "1h1h", "1.5h", "-1h", "1h 5m", "5é", "1000000d"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("99999999999999999999s").is_err());
    }

    #[test]
    fn durations_read_well() {
        let shown = [0.25, 9.4, 45.0, 60.0, 5399.6, 9000.0, 100_000.0].map(show);
        assert_eq!(shown, ["0.2s", "9.4s", "45s", "1m 0s", "1h 30m", "2h 30m", "1d 3h"]);
    }
}
