//! Feature sets over stores of one architecture and of two.

use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float64Type, Int64Type};
use zoolake::arch::{Arch, TensorKind};
use zoolake::features::{self, Epochs, Query};
use zoolake::sql::Session;
use zoolake::store::Store;

use crate::fixture::{new_place, synthetic_of, synthetic_store};

/// A store of the zoos `small`, models 0 and 1 of `cnn_s`, and `middle`, models 0 to 2
/// of `cnn_m`, with states 0 to 2.
async fn two_archs() -> Session {
    let store = Store::open_or_create(new_place()).await.unwrap();
    let small = (0..2).map(|index| synthetic_of("small", "cnn_s", index, 2));
    let middle = (0..3).map(|index| synthetic_of("middle", "cnn_m", index, 2));
    let models: Vec<_> = small.chain(middle).collect();
    store.writer().await.unwrap().commit(&models, "train").await.unwrap();
    session(&store).await
}

async fn session(store: &Store) -> Session {
    let mut session = Session::new(store, &store.snapshot().await.unwrap()).await.unwrap();
    features::register(&mut session);
    features::register_networks(&mut session, Path::new("")).unwrap();
    session
}

async fn rows(session: &Session, sql: &str) -> RecordBatch {
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}

fn numbers(batch: &RecordBatch, column: &str) -> Vec<f64> {
    batch.column_by_name(column).unwrap().as_primitive::<Float64Type>().values().to_vec()
}

fn query(set: &str) -> Query {
    Query { set: set.to_owned(), ..Query::default() }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The hint of the error that a query ends in, after the error.
async fn error(session: &Session, query: &Query) -> String {
    let error = query.sql(session).await.unwrap_err();
    format!("{error}; {}", error.hint().unwrap_or("no hint"))
}

#[tokio::test]
async fn a_common_frame_counts_layers() {
    let session = two_archs().await;
    let asked = Query {
        archs: strings(&["cnn_s", "cnn_m"]),
        epochs: Epochs::Range(1, 1),
        ..query("hsg_quintiles_v1")
    };
    let batch = rows(&session, &asked.sql(&session).await.unwrap()).await;
    assert_eq!((batch.num_rows(), batch.num_columns()), (5, 2 + 5 * 14));
    assert_eq!(names(&batch)[2], "layer1.weight.mean");
    assert_eq!(names(&batch)[71], "layer5.bias.p99");
    // Weight i is proportional to i, so that means and medians are where tensors lie.
    let models = rows(&session, "SELECT model_id, arch, seed FROM models").await;
    let ids = batch.column(0).as_primitive::<Int64Type>();
    for (row, id) in ids.values().iter().enumerate() {
        let all = models.column(0).as_primitive::<Int64Type>().values();
        let model = all.iter().position(|other| other == id).unwrap();
        let arch = Arch::by_name(models.column(1).as_string::<i32>().value(model)).unwrap();
        let factor = (models.column(2).as_primitive::<Int64Type>().value(model) + 1) as f64 * 2.0;
        let tensors = arch.layout().tensors();
        for (place, tensor) in tensors.iter().enumerate() {
            let kind = if tensor.kind == TensorKind::Bias { "bias" } else { "weight" };
            let middle = tensor.offset as f64 + (tensor.size - 1) as f64 / 2.0;
            for statistic in ["mean", "p50"] {
                let column = format!("layer{}.{kind}.{statistic}", place / 2 + 1);
                let found = numbers(&batch, &column)[row];
                let expected = factor * middle / 1024.0;
                assert!(
                    (found - expected).abs() <= 1e-12 * expected,
                    "{column}: {found}, {expected}"
                );
            }
        }
    }
}

#[tokio::test]
async fn states_are_chosen_and_ordered() {
    let session = two_archs().await;
    let count = async |query: Query| {
        let batch = rows(&session, &query.sql(&session).await.unwrap()).await;
        let key = |row| {
            let key = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(row);
            (key(1), key(0))
        };
        assert!((0..batch.num_rows()).map(key).is_sorted());
        (batch.num_rows(), batch.num_columns() - 2)
    };
    let middle = Query { zoos: strings(&["middle"]), ..query("global7_v1") };
    assert_eq!(
        count(middle.clone()).await,
        (3, 7),
        "the last states of a zoo, of its architecture"
    );
    assert_eq!(count(Query { epochs: Epochs::All, ..middle.clone() }).await, (9, 7));
    assert_eq!(count(Query { epochs: Epochs::Range(1, 7), ..middle.clone() }).await, (6, 7));
    let both = Query { archs: strings(&["cnn_m", "cnn_s"]), ..query("trajectory_v1") };
    assert_eq!(count(both).await, (5, 6));
    let layer = Query { tensors: strings(&["fc1", "conv2.bias"]), ..middle };
    assert_eq!(count(Query { set: "nfn_statnn_v1".into(), ..layer.clone() }).await, (3, 21));
    assert_eq!(count(Query { set: "weights".into(), ..layer }).await, (3, 3));
    let positions = Query {
        archs: strings(&["cnn_m", "cnn_s"]),
        tensors: strings(&["layer2"]),
        ..query("norms_v1")
    };
    assert_eq!(count(positions).await, (5, 4));
    assert_eq!(count(query("hyper()")).await.0, 5, "models of any architecture");
    assert_eq!(count(query("learning_curve_v1(1)")).await, (5, 12));
}

#[tokio::test]
async fn only_chosen_states_and_tensors_are_read_and_each_once() {
    let store = synthetic_store().await;
    let session = session(&store).await;
    let asked = Query {
        epochs: Epochs::Range(2, 2),
        tensors: strings(&["conv1", "fc2.bias"]),
        ..query("unterthiner_v1")
    };
    let sql = format!("EXPLAIN {}", asked.sql(&session).await.unwrap());
    let plans = rows(&session, &sql).await;
    let plans = plans.column_by_name("plan").unwrap().as_string::<i32>();
    let physical = plans.iter().flatten().last().unwrap().to_owned();
    assert_eq!(physical.matches("vector_statistics(").count(), 3, "{physical}");
    assert!(physical.contains("predicate=epoch@1 = 2"), "{physical}");
    let scanned = "projection=[model_id, epoch, conv1.weight, conv1.bias, fc2.bias]";
    assert!(physical.contains(scanned), "{physical}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_said() {
    let session = two_archs().await;
    let asked = |set: &str| query(set);
    assert_eq!(
        error(&session, &asked("norms_v1")).await,
        "the states are of several architectures: `cnn_m`, `cnn_s`; \
         choose one, or `cnn_m,cnn_s` for their common frame"
    );
    let both = Query { archs: strings(&["cnn_s", "cnn_m"]), ..asked("weights") };
    assert_eq!(
        error(&session, &both).await,
        "weights of several architectures have no common frame; \
         name one, as in `weights('cnn_s')`, or choose statistics, such as `hsg_quintiles_v1`"
    );
    let other =
        Query { archs: strings(&["cnn_s"]), zoos: strings(&["middle"]), ..asked("norms_v1") };
    assert_eq!(
        error(&session, &other).await,
        "unknown architecture `cnn_s`: expected one of `cnn_m`; did you mean `cnn_m`?"
    );
    let unknown = Query { zoos: strings(&["midle"]), ..asked("hyper") };
    assert_eq!(
        error(&session, &unknown).await,
        "unknown zoo `midle`: expected one of `middle`, `small`; did you mean `middle`?"
    );
    let late =
        Query { zoos: strings(&["small"]), epochs: Epochs::Range(3, 9), ..asked("norms_v1") };
    assert_eq!(
        error(&session, &late).await,
        "`norms_v1` has no state of the epochs `3..9`; the states are of epochs 0 to 2"
    );
    let error = session.sql("SELECT * FROM norms_v1()").await.map(drop).unwrap_err();
    assert_eq!(error.to_string(), "the store has several architectures: `cnn_m`, `cnn_s`");
    assert_eq!(
        error.hint(),
        Some("name one, as in `norms_v1('cnn_m')`, or several for their common frame")
    );
}

#[tokio::test]
async fn an_empty_store_has_no_features() {
    let store = Store::open_or_create(new_place()).await.unwrap();
    let session = session(&store).await;
    for set in features::all() {
        let error = query(set.name()).sql(&session).await.unwrap_err();
        assert_eq!(error.hint(), Some("`zoolake train` adds models"), "{}: {error}", set.name());
    }
}

#[tokio::test]
async fn dimensions_are_as_listed() {
    let store = synthetic_store().await;
    let session = session(&store).await;
    for set in features::all() {
        let listed = set.dimension(&Arch::by_name("cnn_s").unwrap());
        let call = match set.name() {
            "learning_curve_v1" => "learning_curve_v1(3)",
            "activations_v1" => "activations_v1(10)",
            "margins_v1" => "margins_v1(10)",
            name => name,
        };
        let batch = rows(&session, &query(call).sql(&session).await.unwrap()).await;
        let widths = batch.columns()[2..].iter().map(|column| {
            column.as_fixed_size_list_opt().map_or(1, |list| list.value_length() as usize)
        });
        match (set.name(), listed) {
            ("hyper", None) => assert_eq!(widths.sum::<usize>(), 6 + 2 + 1 + 2),
            // The logits of 32 probes are one list.
            ("activations_v1", Some(348)) => assert_eq!(widths.sum::<usize>(), 28 + 1),
            ("learning_curve_v1", Some(36)) => assert_eq!(widths.sum::<usize>(), 24),
            (name, listed) => assert_eq!(Some(widths.sum()), listed, "{name}"),
        }
    }
}
