//! Minimisation of smooth functions: L-BFGS (Nocedal 1980).

use std::collections::VecDeque;

/// Steps it remembers, and over which progress is judged.
pub(super) const MEMORY: usize = 10;

/// Steps at most.
const STEPS: usize = 2000;

/// It ends where so many steps lower the value by no more than this share of it.
const PROGRESS: f64 = 1e-8;

/// Where a descent ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct End {
    pub(super) point: Vec<f64>,
    /// Whether there was nothing left to gain, rather than no step left to take.
    pub(super) has_converged: bool,
}

/// Descends `function`, which yields value and gradient, from `point` on: until no slope is
/// larger than `flat`, until the value hardly falls any more, or for [`STEPS`].
pub(super) fn minimise(
    mut point: Vec<f64>,
    flat: f64,
    function: impl Fn(&[f64]) -> (f64, Vec<f64>),
) -> End {
    let (mut value, mut gradient) = function(&point);
    let mut memory: VecDeque<Step> = VecDeque::new();
    // Of the last steps, the newest last.
    let mut values = VecDeque::from([value]);
    for _ in 0..STEPS {
        let is_slow = values.len() > MEMORY && values[0] - value <= PROGRESS * value.abs();
        if is_slow || gradient.iter().all(|slope| slope.abs() <= flat) {
            return End { point, has_converged: true };
        }
        let mut direction = direction(&memory, &gradient);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            // Rounding: begin anew, downhill.
            memory.clear();
            direction = gradient.iter().map(|slope| -slope).collect();
            slope = -dot(&gradient, &gradient);
        }
        let mut length = if memory.is_empty() { 1.0 / (-slope).sqrt().max(1.0) } else { 1.0 };
        let next = loop {
            let next: Vec<f64> =
                point.iter().zip(&direction).map(|(x, d)| x + length * d).collect();
            let (next_value, next_gradient) = function(&next);
            if next_value <= value + 1e-4 * length * slope {
                break Some((next, next_value, next_gradient));
            }
            length /= 2.0;
            if length < 1e-12 {
                break None;
            }
        };
        // No point nearby is lower: what is left is rounding.
        let Some((next, next_value, next_gradient)) = next else {
            return End { point, has_converged: value.is_finite() };
        };
        let step = Step {
            moved: next.iter().zip(&point).map(|(a, b)| a - b).collect(),
            turned: next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect(),
        };
        if dot(&step.moved, &step.turned) > 0.0 {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back(step);
        }
        (point, value, gradient) = (next, next_value, next_gradient);
        values.push_back(value);
        if values.len() > MEMORY + 1 {
            values.pop_front();
        }
    }
    End { point, has_converged: false }
}

/// How a step changed the point and the gradient.
struct Step {
    moved: Vec<f64>,
    turned: Vec<f64>,
}

/// The two loops of L-BFGS.
fn direction(memory: &VecDeque<Step>, gradient: &[f64]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for Step { moved, turned } in memory.iter().rev() {
        let share = dot(moved, &direction) / dot(moved, turned);
        direction.iter_mut().zip(turned).for_each(|(d, turned)| *d -= share * turned);
        shares.push(share);
    }
    if let Some(Step { moved, turned }) = memory.back() {
        let scale = dot(moved, turned) / dot(turned, turned);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for (Step { moved, turned }, share) in memory.iter().zip(shares.into_iter().rev()) {
        let rest = share - dot(turned, &direction) / dot(moved, turned);
        direction.iter_mut().zip(moved).for_each(|(d, moved)| *d += rest * moved);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_of_a_long_valley_is_found() {
        // Curvatures from 1 to 10,000, and the minimum at 1, 2, 3, ….
        let bowl = |point: &[f64]| {
            let mut value = 0.0;
            let slope = point.iter().enumerate().map(|(i, x)| {
                let (curvature, away) = (10_f64.powi(i as i32), x - (i + 1) as f64);
                value += curvature * away * away / 2.0;
                curvature * away
            });
            let slope: Vec<f64> = slope.collect();
            (value, slope)
        };
        // Its slope is 50,000 at first. What is measured in millionths has the same bottom.
        for unit in [1.0, 1e-6] {
            let scaled = |point: &[f64]| {
                let (value, slope) = bowl(point);
                (unit * value, slope.into_iter().map(|slope| unit * slope).collect())
            };
            let end = minimise(vec![0.0; 5], 1e-6 * unit, scaled);
            assert!(end.has_converged);
            for (i, x) in end.point.into_iter().enumerate() {
                assert!((x - (i + 1) as f64).abs() < 1e-6, "{unit}, {i}: {x}");
            }
        }
    }

    #[test]
    fn where_there_is_no_bottom_it_is_not_said_to_be_found() {
        let end = minimise(vec![0.0], 1e-6, |point| (-point[0], vec![-1.0]));
        assert!(!end.has_converged);
    }
}
