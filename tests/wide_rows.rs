//! Queries of whole vectors: megabytes are handed on at a time, and what is sorted need not
//! fit into memory.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use arrow::util::pretty::pretty_format_batches;
use zoolake::Kind;
use zoolake::sql::Session;
use zoolake::store::Store;

use crate::fixture::{new_place, synthetic};

const EPOCHS: usize = 400;

/// Weights of the small CNN: 10 MB a model, of which there are as many as asked for.
async fn store(models: u32) -> Store {
    let store = Store::open_or_create(new_place()).await.unwrap();
    for index in 0..models {
        let trained = [synthetic(index, EPOCHS - 1)];
        store.writer().await.unwrap().commit(&trained, "train").await.unwrap();
    }
    store
}

async fn rows(session: &Session, sql: &str) -> zoolake::Result<Vec<RecordBatch>> {
    session.sql(sql).await?.collect().await
}

#[tokio::test]
async fn no_operator_gathers_more_than_megabytes() {
    let store = store(2).await;
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    for sql in [
        "SELECT * FROM vectors_cnn_s",
        "SELECT * FROM vectors_cnn_s JOIN models USING (model_id)",
        "SELECT * FROM weights_cnn_s WHERE vector_mean(\"conv1.bias\") >= 0",
        "SELECT * FROM vectors_cnn_s ORDER BY model_id, epoch",
        "SELECT * FROM vectors_cnn_s UNION SELECT * FROM vectors_cnn_s",
    ] {
        let batches = rows(&session, sql).await.unwrap();
        let sizes: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 2 * EPOCHS, "{sql}");
        // A megabyte is 106 rows.
        assert!(sizes.iter().all(|size| *size <= 106), "{sql}: {sizes:?}");
    }
}

#[tokio::test]
async fn what_sorts_narrow_rows_gathers_them() {
    let store = store(2).await;
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    for columns in ["epoch", "epoch, vector_l2_norm(weights) AS norm"] {
        let sql = format!("SELECT model_id, {columns} FROM vectors_cnn_s ORDER BY 1, 2");
        let batches = rows(&session, &sql).await.unwrap();
        assert_eq!(batches[0].num_rows(), 2 * EPOCHS, "{sql}");
    }
}

/// Who asks for a few rows waits for no more.
#[tokio::test]
async fn only_what_reads_everything_waits_for_full_batches() {
    let store = store(2).await;
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    let norms = "SELECT model_id, vector_l2_norm(weights) AS norm FROM vectors_cnn_s";
    for (sql, gathered) in [
        (norms.to_owned(), false),
        (format!("SELECT norm + 1 FROM ({norms} WHERE vector_mean(weights) > 0) LIMIT 3"), false),
        (format!("SELECT * FROM ({norms}) JOIN models USING (model_id) LIMIT 3"), false),
        (format!("{norms} ORDER BY norm"), true),
        // Both are of one pass over the vectors, from which another projection takes them.
        (
            "SELECT vector_mean(weights), vector_min(weights) FROM vectors_cnn_s ORDER BY 1".into(),
            true,
        ),
        (format!("{norms} ORDER BY norm LIMIT 3"), true),
    ] {
        let batches = rows(&session, &format!("EXPLAIN {sql}")).await.unwrap();
        let plan = pretty_format_batches(&batches).unwrap().to_string();
        assert!(plan.contains(&format!("BatchRowsExec: rows=106, gathered={gathered}")), "{plan}");
        assert!(!plan.contains(&format!("gathered={}", !gathered)), "{plan}");
    }
}

#[tokio::test]
async fn what_is_sorted_need_not_fit_into_memory() {
    let store = store(10).await;
    let snapshot = store.snapshot().await.unwrap();
    let session = Session::with_memory(&store, &snapshot, 64 << 20).await.unwrap();
    let sql = "SELECT * FROM vectors_cnn_s ORDER BY epoch, model_id";
    let mut sorted = session.sql(sql).await.unwrap();
    let (mut before, mut count) = ((-1, i64::MIN), 0);
    while let Some(batch) = sorted.next().await.unwrap() {
        let [models, epochs] = [0, 1].map(|key| batch.column(key).as_primitive::<Int64Type>());
        let vectors = batch.column(2).as_fixed_size_list();
        for row in 0..batch.num_rows() {
            let key = (epochs.value(row), models.value(row));
            assert!(before < key);
            // Weight `i` of model `m` at epoch `e` is `(m + 1) (e + 1) i / 1024`.
            let vector = vectors.value(row);
            let vector = vector.as_primitive::<Float32Type>().values();
            let model = vector[1024] / (key.0 + 1) as f32;
            assert!((1.0..=10.0).contains(&model) && model.fract() == 0.0);
            assert_eq!(vector[2048], 2.0 * vector[1024]);
            (before, count) = (key, count + 1);
        }
    }
    assert_eq!(count, 10 * EPOCHS, "100 MB");
}

#[tokio::test]
async fn what_cannot_leave_memory_is_refused() {
    let store = store(1).await;
    let snapshot = store.snapshot().await.unwrap();
    let session = Session::with_memory(&store, &snapshot, 1_000_000).await.unwrap();
    let sql = "SELECT * FROM vectors_cnn_s a JOIN vectors_cnn_s b ON a.epoch = b.epoch + 1";
    let error = rows(&session, sql).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(!error.to_string().contains('\n') && error.hint().is_some(), "{error}");
}
