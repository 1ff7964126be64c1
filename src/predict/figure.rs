//! Predicted against true values, as SVG.

use plotters::prelude::*;

use super::experiment::Outcome;
use super::metric::Metric;
use crate::error::{Error, Result};

/// Width and height of a panel, in pixels.
const PANEL: u32 = 360;

/// Panels beside each other at most.
const ACROSS: usize = 3;

/// A panel for each of `outcomes` that predicts numbers: a point for each state of the test
/// part, and the line of right ones.
///
/// # Errors
/// `Invalid` if all of them predict classes.
pub fn figure(outcomes: &[&Outcome]) -> Result<String> {
    let panels: Vec<&Outcome> =
        outcomes.iter().copied().filter(|outcome| outcome.classes.is_empty()).collect();
    if panels.is_empty() {
        let error = Error::invalid("a figure shows predicted numbers, and these are classes");
        return Err(error.with_hint("choose a target of numbers, such as `test_acc`"));
    }
    let across = panels.len().min(ACROSS);
    let down = panels.len().div_ceil(across);
    let mut svg = String::new();
    let failed = |error| Error::internal(format!("cannot draw: {error}"));
    draw(&mut svg, &panels, (down, across)).map_err(failed)?;
    Ok(svg)
}

fn draw(
    svg: &mut String,
    panels: &[&Outcome],
    (down, across): (usize, usize),
) -> std::result::Result<(), String> {
    let text = |error: DrawingAreaErrorKind<std::io::Error>| error.to_string();
    let size = (PANEL * across as u32, PANEL * down as u32);
    let area = SVGBackend::with_string(svg, size).into_drawing_area();
    area.fill(&WHITE).map_err(text)?;
    for (area, outcome) in area.split_evenly((down, across)).iter().zip(panels) {
        let test = outcome.test();
        let values = || test.truth.iter().chain(&test.predicted);
        let (least, greatest) = (
            values().copied().fold(f64::INFINITY, f64::min),
            values().copied().fold(f64::NEG_INFINITY, f64::max),
        );
        let margin = 0.03 * (greatest - least).max(f64::MIN_POSITIVE);
        let range = least - margin..greatest + margin;
        let score = test.score(Metric::R2).and_then(|score| score.value);
        let score = score.map(|r2| format!(": R² {r2:.3}")).unwrap_or_default();
        let caption = format!("{}, {}{score}", outcome.features, outcome.predictor.name());
        let mut chart = ChartBuilder::on(area)
            .caption(caption, ("sans-serif", 15))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(range.clone(), range.clone())
            .map_err(text)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_labels(6)
            .y_labels(6)
            .x_desc(format!("true {}", outcome.target))
            .y_desc("predicted")
            .draw()
            .map_err(text)?;
        let line = [(range.start, range.start), (range.end, range.end)];
        chart.draw_series([PathElement::new(line, BLACK.mix(0.4))]).map_err(text)?;
        let points = test.truth.iter().zip(&test.predicted);
        let circle = |(x, y): (&f64, &f64)| Circle::new((*x, *y), 2, BLUE.mix(0.35).filled());
        chart.draw_series(points.map(circle)).map_err(text)?;
    }
    area.present().map_err(text)
}
