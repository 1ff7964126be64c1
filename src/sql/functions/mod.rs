//! SQL functions on weight vectors.
//!
//! Owns one function per file and their registration. Every function takes
//! `FixedSizeList<Float32>` as it lies in the files, without a cast; other lists
//! of numbers are rounded to `Float32` first. Every statistic is `Float64`,
//! accumulated in `f64`. A NULL vector gives NULL; a NaN gives NaN; an empty
//! vector has no statistic, so NULL (but norms and products of 0).

mod concat;
mod cosine_distance;
mod dot;
mod function;
mod kurtosis;
mod l1_norm;
mod l2_distance;
mod l2_norm;
mod list;
mod max;
mod mean;
mod measure;
mod min;
mod number;
mod path;
mod quantile;
mod quantiles;
mod sample_variance;
mod skewness;
mod spectrum;
mod start_distance;
mod statistics;
mod stddev;
mod step_distance;
mod turning_angle;
mod variance;
mod vector;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Documentation, Expr, ScalarUDF, WindowUDF};

use self::function::Udf;
use self::number::Number;
use self::path::PathMeasure;
use self::quantile::Quantile;
use crate::error::{Error, Result};
use crate::statistics::Statistic;

pub(crate) use self::function::{Function, arrays, udf};
pub(super) use self::measure::{Measure, Place};
pub(super) use self::statistics::udf as statistics;
pub(super) use self::vector::Vectors;
pub(crate) use self::vector::list_of;

/// Table `functions`: name, syntax and description of `scalars` and of every function
/// of the rows of a window.
pub(super) fn table(scalars: &[ScalarUDF]) -> Result<RecordBatch> {
    let windows = windows();
    let mut functions: Vec<(&str, Option<&Documentation>)> = Vec::new();
    functions.extend(scalars.iter().map(|udf| (udf.name(), udf.documentation())));
    functions.extend(windows.iter().map(|udwf| (udwf.name(), udwf.documentation())));
    functions.sort_unstable_by_key(|(name, _)| *name);
    let documented = |text: fn(&Documentation) -> &str| -> ArrayRef {
        let texts = functions.iter().map(|(_, documentation)| documentation.map(text));
        Arc::new(texts.collect::<StringArray>())
    };
    let names = StringArray::from_iter_values(functions.iter().map(|(name, _)| name));
    RecordBatch::try_from_iter([
        ("function", Arc::new(names) as ArrayRef),
        ("syntax", documented(|doc| &doc.syntax_example)),
        ("description", documented(|doc| &doc.description)),
    ])
    .map_err(|error| Error::internal("cannot build table `functions`").with_source(error))
}

/// Every function of a row, by name.
pub fn all() -> Vec<ScalarUDF> {
    vec![
        concat::udf(),
        cosine_distance::udf(),
        dot::udf(),
        kurtosis::udf(),
        l1_norm::udf(),
        l2_distance::udf(),
        l2_norm::udf(),
        list::udf(),
        max::udf(),
        mean::udf(),
        min::udf(),
        quantile::udf(),
        quantiles::udf(),
        skewness::udf(),
        spectrum::udf(),
        statistics::udf(),
        stddev::udf(),
        variance::udf(),
        sample_variance::udf(),
    ]
}

/// Every function of the rows of a window, by name.
pub fn windows() -> Vec<WindowUDF> {
    vec![start_distance::udwf(), step_distance::udwf(), turning_angle::udwf()]
}

/// The statistic that a call computes, if it computes one, and of which vector.
pub(super) fn statistic(expression: &Expr) -> Option<(Statistic, &Expr)> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expression else { return None };
    let function = func.inner();
    let statistic = if let Some(number) = function.downcast_ref::<Udf<Number>>() {
        number.function.statistic()
    } else {
        function.downcast_ref::<Udf<Quantile>>().and_then(|_| Quantile::statistic(args))
    };
    Some((statistic?, args.first()?))
}

/// What a function says of a path, if it says anything of one, and its name.
pub(super) fn measure(function: &WindowUDF) -> Option<(&'static str, Measure)> {
    function.inner().downcast_ref::<PathMeasure>().map(PathMeasure::measure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_is_documented_and_sorted() {
        let names: Vec<String> = all().iter().map(|udf| udf.name().to_owned()).collect();
        assert!(names.is_sorted(), "{names:?}");
        for udf in all() {
            let doc = udf.documentation().unwrap_or_else(|| panic!("{} has no doc", udf.name()));
            assert!(doc.syntax_example.starts_with(udf.name()), "{}", doc.syntax_example);
        }
        for udwf in windows() {
            let doc = udwf.documentation().unwrap_or_else(|| panic!("{} has no doc", udwf.name()));
            assert!(doc.syntax_example.starts_with(udwf.name()), "{}", doc.syntax_example);
        }
    }
}
