//! Every named query runs and yields the columns its header promises.

use arrow::array::AsArray;
use arrow::datatypes::Float64Type;
use zoolake::sql::{NamedQuery, Session, named_queries};

use crate::fixture::synthetic_store;

#[tokio::test]
async fn columns_are_those_of_the_header() {
    let store = synthetic_store().await;
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    for query in named_queries().unwrap() {
        for zoo in ["NULL", "synthetic", "none such"] {
            let given: Vec<_> = query
                .parameters
                .iter()
                .filter(|parameter| parameter.name == "zoo")
                .map(|_| ("zoo".to_owned(), zoo.to_owned()))
                .collect();
            let rows = session.sql_with(query.sql, query.bind(&given).unwrap()).await.unwrap();
            let schema = rows.schema();
            let columns: Vec<&str> =
                schema.fields().iter().map(|field| field.name().as_str()).collect();
            let promised: Vec<&str> = query.columns.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(columns, promised, "{}", query.name);
            let rows: usize =
                rows.collect().await.unwrap().iter().map(|batch| batch.num_rows()).sum();
            assert_eq!(rows > 0, zoo != "none such" || given.is_empty(), "{} {zoo}", query.name);
        }
    }
}

#[tokio::test]
async fn an_empty_store_has_no_rows_and_no_errors() {
    use zoolake::store::{Location, Store};
    let store = Store::open_or_create(Location::memory()).await.unwrap();
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    for query in named_queries().unwrap() {
        let rows = session.sql_with(query.sql, query.bind(&[]).unwrap()).await.unwrap();
        let rows = rows.collect().await.unwrap();
        assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 0, "{}", query.name);
    }
}

/// The numbers of a query's float columns, row by row.
async fn floats(session: &Session, name: &str, columns: &[&str]) -> Vec<Vec<f64>> {
    let query = NamedQuery::by_name(name).unwrap();
    let rows = session.sql_with(query.sql, query.bind(&[]).unwrap()).await.unwrap();
    let batches = rows.collect().await.unwrap();
    let batch = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    let column = |name: &&str| batch.column_by_name(name).unwrap().as_primitive::<Float64Type>();
    (0..batch.num_rows())
        .map(|row| columns.iter().map(|name| column(name).value(row)).collect())
        .collect()
}

/// Weight `i` of model `m` at epoch `e` is `(m + 1) (e + 1) i / 1024`, so the
/// whole vector is `(m + 1) (e + 1)` times one of length `unit`.
#[tokio::test]
async fn numbers_are_those_told_by_hand() {
    let store = synthetic_store().await;
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    let close = |found: &[f64], expected: &[f64]| {
        let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * b.abs();
        assert!(found.iter().zip(expected).all(close), "{found:?} instead of {expected:?}");
    };

    // Mean of m + 1 over models 0 to 3 is 2.5; squares of 0 … 2463 sum to 4983522544.
    let unit = 2.5 * 4_983_522_544_f64.sqrt() / 1024.0;
    let moved = floats(&session, "distance_travelled", &["step", "from_start", "norm"]).await;
    assert_eq!(moved.len(), 3);
    for (epoch, found) in (1..).zip(&moved) {
        let epoch = f64::from(epoch);
        close(found, &[unit, epoch * unit, (epoch + 1.0) * unit]);
    }

    // Train loss 2 / f and test loss 4 / f with f = (m + 1) (e + 1); relu, models 1 and 3,
    // comes first, then tanh, models 0 and 2.
    let curves = floats(&session, "learning_curves", &["train_loss", "test_loss"]).await;
    assert_eq!(curves.len(), 8);
    close(&curves[0], &[0.75, 1.5]);
    close(&curves[5], &[2.0 / 3.0, 4.0 / 3.0]);

    // fc2.bias is i = 2454 … 2463, at epoch 3.
    let statistics = ["mean", "sd", "min", "median", "max"];
    let weights = floats(&session, "weight_statistics", &statistics).await;
    let last = |i: f64| 4.0 * i / 1024.0;
    let sd = 2.5 * last(8.25_f64.sqrt());
    close(
        &weights[9],
        &[2.5 * last(2458.5), sd, last(2454.0), 2.5 * last(2458.5), 4.0 * last(2463.0)],
    );

    // ggap is min(f / 4, 1) - min(f / 8, 1): at epoch 0, f is 1, 2, 3, 4.
    let gaps = floats(&session, "generalisation_gap", &["mean_gap", "max_gap"]).await;
    close(&gaps[0], &[(0.125 + 0.25 + 0.375 + 0.5) / 4.0, 0.5]);
}
