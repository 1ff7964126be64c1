//! What is said of a row of a path, compared with the first row and those before it.

use datafusion::common::exec_err;
use datafusion::error::Result;

use super::l2_distance::distance;

/// What a function says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::sql) enum Measure {
    /// The distance from the row before.
    Step,
    /// The distance from the first row.
    Start,
    /// The angle between the step to the row before and the one to this row.
    Turn,
}

/// A row, and the rows that it is compared with; `None` is NULL.
#[derive(Debug, Clone, Copy)]
pub(in crate::sql) struct Place<'a> {
    /// The first row.
    pub(in crate::sql) first: Option<&'a [f32]>,
    /// The rows before it, as many as there are of those that are looked at; the
    /// nearest last.
    pub(in crate::sql) before: &'a [Option<&'a [f32]>],
    pub(in crate::sql) now: Option<&'a [f32]>,
}

impl Measure {
    /// The rows before a row that it looks at.
    pub(in crate::sql) fn rows_before(self) -> usize {
        match self {
            Self::Start => 0,
            Self::Step => 1,
            Self::Turn => 2,
        }
    }

    /// What the function `name` says of a row.
    pub(in crate::sql) fn of(self, name: &str, place: Place<'_>) -> Result<Option<f64>> {
        let Place { first, before, now } = place;
        Ok(match (self, before) {
            (Self::Start, _) => between(name, first, now)?,
            (Self::Step, [.., last]) => between(name, *last, now)?,
            (Self::Turn, [.., first, corner]) => {
                let before = between(name, *first, *corner)?;
                let step = between(name, *corner, now)?;
                match (before, step, between(name, *first, now)?) {
                    (Some(before), Some(step), Some(across)) => turn(before, step, across),
                    _ => None,
                }
            }
            (Self::Step | Self::Turn, _) => None,
        })
    }
}

/// The distance of two vectors; `None` if one is missing.
fn between(name: &str, a: Option<&[f32]>, b: Option<&[f32]>) -> Result<Option<f64>> {
    match (a, b) {
        (Some(a), Some(b)) if a.len() == b.len() => Ok(Some(distance(a, b))),
        (Some(a), Some(b)) => {
            exec_err!("{name}: vectors have {} and {} values", a.len(), b.len())
        }
        _ => Ok(None),
    }
}

/// The angle by which the second of two steps turns off the first, from their
/// lengths and the distance across, by the law of cosines; `None` if nothing moved.
fn turn(before: f64, step: f64, across: f64) -> Option<f64> {
    let twice = 2.0 * before * step;
    let cosine = (across * across - before * before - step * step) / twice;
    // Rounding can take the cosine past one; NaN stays NaN.
    (twice != 0.0).then(|| cosine.clamp(-1.0, 1.0).acos())
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    #[test]
    fn turns() {
        assert_eq!(turn(1.0, 2.0, 3.0), Some(0.0));
        assert_eq!(turn(1.0, 1.0, 0.0), Some(PI));
        assert!((turn(3.0, 4.0, 5.0).unwrap() - PI / 2.0).abs() < 1e-15);
        assert_eq!(turn(0.0, 1.0, 1.0), None);
        assert!(turn(f64::NAN, 1.0, 1.0).unwrap().is_nan());
    }
}
