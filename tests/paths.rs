//! Paths of models without sorting: what a plan makes of them, and the same numbers as
//! a window has.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use zoolake::sql::Session;
use zoolake::store::Store;
use zoolake::train::{Purpose, Stream, Trained};

use crate::fixture::{new_place, synthetic, synthetic_store};

async fn session(store: &Store) -> Session {
    let mut session = Session::new(store, &store.snapshot().await.unwrap()).await.unwrap();
    zoolake::features::register(&mut session);
    session
}

async fn explain(sql: &str) -> String {
    let rows = session(&synthetic_store().await).await.sql(&format!("EXPLAIN {sql}")).await;
    let batches = rows.unwrap().collect().await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string()
}

/// Measures over `vector` of `table`, for windows in the order of `order`.
fn measures(vector: &str, table: &str, order: &str) -> String {
    format!(
        "SELECT model_id, epoch, vector_step_distance({vector}) OVER path AS step, \
         vector_start_distance({vector}) OVER path AS start, \
         vector_turning_angle({vector}) OVER path AS turn \
         FROM {table} WINDOW path AS (PARTITION BY model_id ORDER BY {order})"
    )
}

#[tokio::test]
async fn vectors_are_not_sorted() {
    for sql in [
        measures("weights", "vectors_cnn_s", "epoch"),
        measures("vector_concat(\"fc1.bias\", \"fc2.bias\")", "weights_cnn_s", "epoch"),
        measures("weights", "vectors_cnn_s WHERE model_id > 0", "epoch"),
        measures("weights", "(SELECT * FROM vectors_cnn_s WHERE vector_max(weights) > 1)", "epoch"),
    ] {
        let plan = explain(&sql).await;
        assert!(plan.contains("PathExec: measures=[vector_step_distance("), "{plan}");
        assert!(!plan.contains("SortExec") && !plan.contains("BoundedWindowAggExec"), "{plan}");
    }
    let plan = explain("SELECT * FROM trajectory_v1()").await;
    assert!(plan.contains("PathExec"), "{plan}");
}

#[tokio::test]
async fn other_windows_are_left_alone() {
    for sql in [
        measures("weights", "vectors_cnn_s", "epoch DESC"),
        measures("weights", "vectors_cnn_s", "model_id"),
        measures("weights", "(SELECT * FROM vectors_cnn_s LIMIT 3)", "epoch"),
        measures("weights", "vectors_cnn_s JOIN models USING (model_id)", "epoch"),
        "SELECT vector_step_distance(weights) OVER (ORDER BY epoch) FROM vectors_cnn_s".to_owned(),
        "SELECT vector_step_distance(weights) OVER path, sum(epoch) OVER path FROM vectors_cnn_s \
         WINDOW path AS (PARTITION BY model_id ORDER BY epoch)"
            .to_owned(),
    ] {
        let plan = explain(&sql).await;
        assert!(!plan.contains("PathExec"), "{plan}");
    }
}

/// A model with random weights.
fn noise(index: u32) -> Trained {
    let mut trained = synthetic(index, 5);
    let mut stream = Stream::new(u64::from(index), Purpose::Init);
    for state in &mut trained.states {
        let size = state.weights.read().unwrap().len();
        state.weights = (0..size).map(|_| stream.normal()).collect::<Vec<_>>().into();
    }
    trained
}

/// How many states there are, and for how many the window says something else.
async fn compare(store: &Store, vector: &str, table: &str) -> [i64; 2] {
    // Not a column, so that DataFusion sorts.
    let [paths, windows] = ["epoch", "epoch + 0"].map(|order| measures(vector, table, order));
    let sql = format!(
        "SELECT count(*), count(*) FILTER (WHERE (a.step IS DISTINCT FROM b.step) \
         OR (a.start IS DISTINCT FROM b.start) OR (a.turn IS DISTINCT FROM b.turn)) \
         FROM ({paths}) a JOIN ({windows}) b USING (model_id, epoch)"
    );
    let batches = session(store).await.sql(&sql).await.unwrap().collect().await.unwrap();
    [0, 1].map(|column| batches[0].column(column).as_primitive::<Int64Type>().value(0))
}

#[tokio::test]
async fn a_path_is_the_same_in_any_files() {
    let store = Store::open_or_create(new_place()).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    for models in [0..4, 4..5, 5..12] {
        writer.commit(&models.map(noise).collect::<Vec<_>>(), "train").await.unwrap();
    }
    drop(writer);
    for _ in 0..2 {
        assert_eq!(compare(&store, "weights", "vectors_cnn_s").await, [72, 0]);
        let parts = "vector_concat(\"fc1.bias\", \"fc2.bias\")";
        let some = "weights_cnn_s WHERE vector_l1_norm(\"fc2.bias\") > 8";
        let [states, others] = compare(&store, parts, some).await;
        assert!((1..72).contains(&states), "{states}");
        assert_eq!(others, 0);
        store.compact(&|_| {}).await.unwrap();
    }
}
