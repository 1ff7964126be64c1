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
mod l1_norm;
mod l2_distance;
mod l2_norm;
mod list;
mod max;
mod mean;
mod min;
mod number;
mod quantile;
mod quantiles;
mod stddev;
mod variance;
mod vector;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::logical_expr::{Documentation, ScalarUDF};

use crate::error::{Error, Result};

/// Table `functions`: name, syntax and description of every function.
pub(super) fn table() -> Result<RecordBatch> {
    let functions = all();
    let documented = |text: fn(&Documentation) -> &str| -> ArrayRef {
        let texts = functions.iter().map(|udf| udf.documentation().map(text));
        Arc::new(texts.collect::<StringArray>())
    };
    let names = StringArray::from_iter_values(functions.iter().map(ScalarUDF::name));
    RecordBatch::try_from_iter([
        ("function", Arc::new(names) as ArrayRef),
        ("syntax", documented(|doc| &doc.syntax_example)),
        ("description", documented(|doc| &doc.description)),
    ])
    .map_err(|error| Error::internal("cannot build table `functions`").with_source(error))
}

/// Every function, by name.
pub fn all() -> Vec<ScalarUDF> {
    vec![
        concat::udf(),
        cosine_distance::udf(),
        dot::udf(),
        l1_norm::udf(),
        l2_distance::udf(),
        l2_norm::udf(),
        list::udf(),
        max::udf(),
        mean::udf(),
        min::udf(),
        quantile::udf(),
        quantiles::udf(),
        stddev::udf(),
        variance::udf(),
    ]
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
    }
}
