//! What a plan leaves to the vector scan, and whose files it reads.

use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::{Float32Type, Int64Type};
use zoolake::sql::Session;
use zoolake::store::{CloudOptions, Location, Store};

use crate::fixture::synthetic_store;

async fn explain(sql: &str) -> String {
    let store = synthetic_store().await;
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    let rows = session.sql(&format!("EXPLAIN ANALYZE {sql}")).await.unwrap();
    let batches = rows.collect().await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}

#[tokio::test]
async fn filters_on_keys_are_the_scans_own() {
    let plan = explain("SELECT weights FROM vectors_cnn_s WHERE epoch = 1 AND model_id > 5").await;
    assert!(plan.contains("file_type=vectors, predicate=epoch@1 = 1 AND model_id@0 > 5"), "{plan}");
    assert!(!plan.contains("FilterExec"), "{plan}");
    assert!(plan.contains("row_groups_by_stock_reader=0"), "{plan}");
}

/// The same keys stand in `epochs`, which is read otherwise.
#[tokio::test]
async fn filters_on_keys_leave_the_rows_that_they_say() {
    let store = synthetic_store().await;
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    // What statistics of the whole table must not answer, too.
    let keys = async |table: &str, which: &str| {
        let mut found = String::new();
        for columns in ["model_id, epoch", "count(*) AS n, min(epoch) AS first, max(epoch) AS last"]
        {
            let sql = format!("SELECT {columns} FROM {table} WHERE {which} ORDER BY 1, 2");
            let batches = session.sql(&sql).await.unwrap().collect().await.unwrap();
            found += &arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
        }
        found
    };
    for which in [
        "epoch = 1",
        "epoch IN (0, 2) OR model_id % 3 = 1",
        "model_id = (SELECT max(model_id) FROM models)",
        "model_id IN (SELECT model_id FROM models WHERE seed = 2) AND epoch > 1",
        "epoch = 1 AND epoch = 2",
        "epoch < NULL",
        "abs(epoch - 2) < 1.5 AND 1 + 1 = 2",
        "CASE WHEN epoch = 3 THEN model_id > 0 ELSE false END",
        "epoch = 3 AND random() < 2",
        "EXISTS (SELECT * FROM models WHERE seed = epoch)",
    ] {
        let expected = keys("epochs", which).await;
        for table in ["vectors_cnn_s", "weights_cnn_s"] {
            assert_eq!(keys(table, which).await, expected, "{which}");
        }
    }
    let rows = async |sql: &str| {
        let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
        batches.iter().map(|batch| batch.num_rows()).sum::<usize>()
    };
    assert_eq!(rows("SELECT * FROM vectors_cnn_s WHERE epoch > 1 LIMIT 5").await, 5);
    assert_eq!(rows("SELECT * FROM vectors_cnn_s WHERE epoch = 1 OFFSET 1").await, 3);
}

/// Which side of a join is held follows from how many rows filters are thought to leave.
#[tokio::test]
async fn a_join_holds_the_side_that_filters_make_smaller() {
    for small in ["a", "b"] {
        let plan = explain(&format!(
            "SELECT a.weights, b.weights FROM vectors_cnn_s a JOIN vectors_cnn_s b \
             ON a.model_id = b.model_id WHERE {small}.epoch = 0"
        ))
        .await;
        let mut scans = plan.lines().filter(|line| line.contains("file_type=vectors"));
        assert!(scans.next().unwrap().contains("predicate=epoch@1 = 0"), "{plan}");
        assert!(scans.next().unwrap().contains("DynamicFilter"), "{plan}");
    }
}

#[tokio::test]
async fn a_join_tells_the_scan_which_models_it_wants() {
    let plan = explain(
        "SELECT w.\"fc2.bias\" FROM models m JOIN weights_cnn_s w ON m.model_id = w.model_id \
         WHERE m.seed = 2",
    )
    .await;
    let scan = plan.lines().find(|line| line.contains("file_type=vectors")).unwrap();
    assert!(scan.contains("predicate=DynamicFilter [ model_id@0"), "{plan}");
    // One model of four, with its four states.
    assert!(scan.contains("output_rows=4,"), "{plan}");
}

#[tokio::test]
async fn every_scan_counts_for_itself() {
    let plan = explain(
        "SELECT weights FROM vectors_cnn_s WHERE epoch = 0 \
         UNION ALL SELECT weights FROM vectors_cnn_s WHERE model_id < 0",
    )
    .await;
    let scans: Vec<_> = plan.lines().filter(|line| line.contains("file_type=vectors")).collect();
    let yields_nothing = |scan: &&&str| scan.contains("output_rows=0,");
    assert_eq!((scans.len(), scans.iter().filter(yields_nothing).count()), (2, 1), "{plan}");
}

/// Made by `python/make_scan_fixtures.py`: every weight tells where it belongs.
#[tokio::test]
async fn files_of_other_programs_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/scan");
    for writer in ["pyarrow", "pyarrow-2", "polars", "duckdb", "duckdb-2"] {
        let place = folder.join(writer);
        let place = Location::existing(place.to_str().unwrap(), &CloudOptions::default()).unwrap();
        let store = Store::open(place).await.unwrap();
        let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
        let rows = async |sql: &str| session.sql(sql).await.unwrap().collect().await.unwrap();
        let mut seen = Vec::new();
        for batch in rows("SELECT * FROM vectors_cnn_s ORDER BY model_id, epoch").await {
            let [models, epochs] = [0, 1].map(|key| batch.column(key).as_primitive::<Int64Type>());
            let states = batch.column(2).as_fixed_size_list();
            for row in 0..batch.num_rows() {
                seen.push((models.value(row), epochs.value(row)));
                let state = states.value(row);
                let state = state.as_primitive::<Float32Type>().values();
                let first = 4 * models.value(row) + epochs.value(row);
                let expected = (0..2464).map(|place| first as f32 + place as f32 / 4096.0);
                assert!(state.iter().copied().eq(expected), "{writer}, row {row}");
            }
        }
        assert_eq!(seen, [(1, 0), (1, 1), (2, 0), (2, 1)], "{writer}");
        let sql = "SELECT \"fc1.bias\" FROM weights_cnn_s WHERE model_id = 2 AND epoch = 1";
        let batches = rows(sql).await;
        let biases = batches[0].column(0).as_fixed_size_list().value(0);
        let biases = biases.as_primitive::<Float32Type>().values();
        let expected = (2234..2254).map(|place| 9.0 + place as f32 / 4096.0);
        assert!(biases.iter().copied().eq(expected), "{writer}: {biases:?}");
    }
}
