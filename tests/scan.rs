//! What a plan leaves to the vector scan.

use zoolake::sql::Session;

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
