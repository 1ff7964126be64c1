//! Running stored networks on images.

use std::path::Path;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Float64Type};
use zoolake::features::{self, Epochs, Query};
use zoolake::sql::Session;
use zoolake::store::Store;
use zoolake::zoo::{Model, Zoo};

use crate::fixture::{new_place, small_spec, synthetic_of, train};

/// A session over three models, each with its states before and after an epoch.
async fn session() -> Session {
    let zoo = Zoo::from_toml(&small_spec("networks", 3)).unwrap();
    let store = Store::open_or_create(new_place()).await.unwrap();
    store.writer().await.unwrap().commit(&train(&zoo, 2), "train").await.unwrap();
    session_over(&store).await
}

async fn session_over(store: &Store) -> Session {
    let mut session = Session::new(store, &store.snapshot().await.unwrap()).await.unwrap();
    features::register(&mut session);
    features::register_networks(&mut session, Path::new("")).unwrap();
    session
}

/// Another engine trained them, so one image may fall on the other side.
#[tokio::test]
async fn accuracy_on_all_test_images_is_the_stored_one() {
    let session = session().await;
    let images = zoolake::dataset::load("digits", [1, 28, 28], None).unwrap().test.len();
    let sql = format!(
        "SELECT network_accuracy(weights, arch, activation, dataset, 'test', {images}), test_acc
         FROM vectors_cnn_s v JOIN states s ON s.model_id = v.model_id AND s.epoch = v.epoch"
    );
    let mut states = 0;
    for batch in session.sql(&sql).await.unwrap().collect().await.unwrap() {
        let columns = [0, 1].map(|column| batch.column(column).as_primitive::<Float64Type>());
        for (found, stored) in columns[0].iter().zip(columns[1]) {
            let difference = found.unwrap() - stored.unwrap();
            assert!(difference.abs() < 1.5 / images as f64, "{found:?} {stored:?}");
            states += 1;
        }
    }
    assert_eq!(states, 6);
}

#[tokio::test]
async fn feature_sets_of_networks() {
    let session = session().await;
    let query = |set: &str| Query { set: set.into(), epochs: Epochs::Last, ..Query::default() };
    for (set, columns) in [("activations_v1(40)", 2 + 28 + 1), ("margins_v1(20)", 2 + 25)] {
        let sql = query(set).sql(&session).await.unwrap();
        let batches = session.sql(&sql).await.unwrap().collect().await.unwrap();
        assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 3, "{set}");
        for batch in &batches {
            assert_eq!(batch.num_columns(), columns, "{set}");
            for column in batch.columns() {
                assert_eq!(column.null_count(), 0, "{set}");
            }
        }
        let Some(probes) = batches[0].column_by_name("probes") else { continue };
        let probes = probes.as_list::<i32>().value(0);
        assert_eq!(probes.as_primitive::<Float32Type>().len(), 32 * 10);
    }
}

/// The images of the other zoo are not there, so that asking one of its states fails.
#[tokio::test]
async fn only_chosen_models_are_asked() {
    let store = Store::open_or_create(new_place()).await.unwrap();
    let mut models: Vec<_> = (0..4).map(|index| synthetic_of("shown", "cnn_s", index, 2)).collect();
    for (index, trained) in models.iter_mut().enumerate().skip(2) {
        let hyper = trained.model.hyper.clone();
        trained.model = Model::new("hidden", index, "mnist", "cnn_s", hyper);
    }
    store.writer().await.unwrap().commit(&models, "train").await.unwrap();
    let session = session_over(&store).await;
    let count = async |sql: String| -> zoolake::Result<usize> {
        let batches = session.sql(&sql).await?.collect().await?;
        Ok(batches.iter().map(|batch| batch.num_rows()).sum())
    };
    for set in ["activations_v1", "margins_v1"] {
        let all = format!("FROM {set}('cnn_s', 40) f");
        assert!(count(format!("SELECT * {all}")).await.is_err(), "{set}");
        for (epochs, states) in [(Epochs::Last, 2), (Epochs::All, 6), (Epochs::Range(1, 1), 2)] {
            let (set, zoos) = (format!("{set}(40)"), vec!["shown".to_owned()]);
            let query = Query { set, zoos, epochs, ..Query::default() };
            assert_eq!(count(query.sql(&session).await.unwrap()).await.unwrap(), states);
        }
        let zoo = "WITH models AS (SELECT * FROM models WHERE zoo = 'shown')";
        assert_eq!(count(format!("{zoo} SELECT * {all}")).await.unwrap(), 6, "{set}");
        let ids = format!("{}, {}", models[0].model.id, models[1].model.id);
        let of_models = format!("SELECT * {all} WHERE model_id IN ({ids}) AND epoch = 2");
        assert_eq!(count(of_models).await.unwrap(), 2, "{set}");
    }
}

/// A join holds one side whole: the models, however many, and no weights.
#[tokio::test]
async fn joins_hold_models_and_no_weights() {
    let store = Store::open_or_create(new_place()).await.unwrap();
    let few = synthetic_of("few", "cnn_m", 0, 0);
    let many = (0..9).map(|index| synthetic_of("many", "cnn_s", index, 0));
    let models: Vec<_> = many.chain([few]).collect();
    store.writer().await.unwrap().commit(&models, "train").await.unwrap();
    let session = session_over(&store).await;
    for sql in [
        "EXPLAIN SELECT * FROM activations_v1('cnn_m', 40)",
        "EXPLAIN SELECT * FROM vectors_cnn_m JOIN models USING (model_id)",
        "EXPLAIN SELECT * FROM models JOIN vectors_cnn_m USING (model_id)",
    ] {
        let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
        let plans = batches[0].column_by_name("plan").unwrap().as_string::<i32>();
        let plan = plans.iter().flatten().last().unwrap();
        assert!(plan.contains("HashJoinExec: mode=CollectLeft"), "{plan}");
        // The side that is held comes first.
        let scans = plan.lines().filter(|line| line.contains("file_type="));
        let types: Vec<bool> = scans.map(|line| line.contains("file_type=vectors")).collect();
        assert_eq!(types, [false, true], "{plan}");
    }
}

#[tokio::test]
async fn functions_of_networks_are_listed() {
    let session = session().await;
    let sql = "SELECT function FROM functions WHERE function LIKE 'network_%' ORDER BY function";
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    let names: Vec<_> =
        batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>()).flatten().collect();
    let all = ["network_accuracy", "network_activations", "network_logits", "network_margins"];
    assert_eq!(names, all);
}

#[tokio::test]
async fn what_cannot_be_shown_is_said() {
    let session = session().await;
    let ask = async |call: &str| {
        let sql = format!("SELECT {call} FROM vectors_cnn_s");
        let rows = match session.sql(&sql).await {
            Ok(rows) => rows.collect().await,
            Err(error) => Err(error),
        };
        rows.unwrap_err().to_string()
    };
    let error = ask("network_logits(weights, 'cnn_s', 'tanh', 'digits', 'train', 1000000)").await;
    assert!(error.starts_with("`1000000` images of data set `digits`: expected 1 to "), "{error}");
    let error = ask("network_logits(weights, 'cnn_m', 'tanh', 'digits', 'train', 5)").await;
    assert_eq!(error, "a state of `cnn_m` has 10853 values, and not `2464`");
    let error = ask("network_logits(weights, 'cnn_s', 'tanh', 'digits', 'all', 5)").await;
    assert!(error.starts_with("unknown part of a data set `all`: expected one of"), "{error}");
    let error = ask("network_accuracy(weights, 'cnn_s', 'tanh', 'mnist', 'test', 5)").await;
    assert!(error.starts_with("data set `mnist`: found no "), "{error}");
}
