//! Minimisation of smooth convex functions: L-BFGS (Nocedal 1980).

use std::collections::VecDeque;

/// Steps it remembers.
const MEMORY: usize = 10;

/// Steps at most.
const STEPS: usize = 500;

/// It ends where no slope is larger.
const TOLERANCE: f64 = 1e-6;

/// The minimum of `function`, which yields value and gradient, from `point` on.
pub(super) fn minimise(
    mut point: Vec<f64>,
    function: impl Fn(&[f64]) -> (f64, Vec<f64>),
) -> Vec<f64> {
    let (mut value, mut gradient) = function(&point);
    let mut memory: VecDeque<Step> = VecDeque::new();
    for _ in 0..STEPS {
        if gradient.iter().all(|slope| slope.abs() <= TOLERANCE) {
            break;
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
        let Some((next, next_value, next_gradient)) = next else { break };
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
    }
    point
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
            let slope = slope.collect();
            (value, slope)
        };
        for (i, x) in minimise(vec![0.0; 5], bowl).into_iter().enumerate() {
            assert!((x - (i + 1) as f64).abs() < 1e-6, "{i}: {x}");
        }
    }
}
