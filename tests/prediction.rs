//! Prediction as a user sees it: what is told, what is recorded, and what is refused.

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float64Type, Int64Type};
use tempfile::TempDir;
use zoolake::Kind;
use zoolake::predict::{
    Experiment, Findings, Metric, Outcome, Part, Predictor, Protocol, Run, Selection, Splitting,
};
use zoolake::sql::Session;
use zoolake::store::{Stamp, Store};

use crate::cli::{transcript, transcripts};
use crate::fixture::{new_place, synthetic_of, synthetics};

/// A store with synthetic models `0..40` of four states each.
async fn store() -> Store {
    let store = Store::open_or_create(new_place()).await.unwrap();
    store.writer().await.unwrap().commit(&synthetics(0..40), "train").await.unwrap();
    store
}

async fn session(store: &Store) -> Session {
    let mut session = Session::new(store, &store.snapshot().await.unwrap()).await.unwrap();
    zoolake::features::register(&mut session);
    session
}

/// Of losses and optimisers from seven statistics of all weights.
fn experiment() -> Experiment {
    Experiment {
        selection: Selection { epochs: zoolake::features::Epochs::All, ..Selection::default() },
        targets: vec!["test_loss".to_owned(), "optimizer".to_owned()],
        features: vec!["global7_v1".to_owned()],
        predictors: vec![Predictor::Probe, Predictor::Gbt],
        protocol: Protocol::Standard,
        splitting: Splitting::Stratified([70, 15, 15]),
        seed: 1,
    }
}

/// Of losses, by what the protocol has.
fn numbers() -> Experiment {
    let (targets, predictors) = (vec!["test_loss".to_owned()], Vec::new());
    let splitting = Splitting::Random([70, 15, 15]);
    Experiment { targets, predictors, splitting, ..experiment() }
}

async fn run(experiment: &Experiment, store: &Store) -> Findings {
    try_to_run(experiment, store).await.unwrap()
}

async fn try_to_run(experiment: &Experiment, store: &Store) -> zoolake::Result<Findings> {
    let session = session(store).await;
    let states = experiment.states(&session).await?;
    experiment.run(&session, states, &|_| ()).await
}

/// The lines that are told while it runs.
async fn told(experiment: &Experiment, store: &Store) -> Vec<String> {
    let session = session(store).await;
    let states = experiment.states(&session).await.unwrap();
    let told = std::sync::Mutex::new(Vec::new());
    let watch = |line: &str| told.lock().unwrap().push(line.to_owned());
    experiment.run(&session, states, &watch).await.unwrap();
    told.into_inner().unwrap()
}

async fn record(store: &Store, experiment: &Experiment, findings: &Findings) -> String {
    let run = Run { stamp: Stamp::now(), version: store.snapshot().await.unwrap().version() };
    let results = run.results(experiment, findings).unwrap();
    store.record("predict", &results, &run.predictions(findings).unwrap()).await.unwrap();
    run.stamp.id
}

async fn ask(store: &Store, sql: &str) -> RecordBatch {
    let rows = session(store).await.sql(sql).await.unwrap();
    let schema = rows.schema();
    concat_batches(&schema, &rows.collect().await.unwrap()).unwrap()
}

async fn count(store: &Store, table: &str) -> i64 {
    let rows = ask(store, &format!("SELECT count(*) FROM {table}")).await;
    rows.column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn scores_can_be_told_from_what_is_recorded() {
    let store = store().await;
    let experiment = experiment();
    let findings = run(&experiment, &store).await;
    // Mean, two predictors from hyperparameters, two from statistics; for each target.
    assert_eq!(findings.outcomes.len(), 10);
    let id = record(&store, &experiment, &findings).await;
    let again = ask(
        &store,
        &format!(
            "WITH p AS (
                 SELECT *, avg(truth) OVER (PARTITION BY features, predictor) AS centre
                 FROM predictions WHERE run = '{id}' AND target = 'test_loss' AND part = 'test'),
             told AS (
                 SELECT features, predictor,
                        1 - sum((truth - predicted) * (truth - predicted))
                            / sum((truth - centre) * (truth - centre)) AS r2
                 FROM p GROUP BY features, predictor)
             SELECT r.value, told.r2 FROM results r
             JOIN told ON r.features = told.features AND r.predictor = told.predictor
             WHERE r.run = '{id}' AND r.metric = 'r2' AND r.target = 'test_loss' AND r.part = 'test'"
        ),
    )
    .await;
    assert_eq!(again.num_rows(), 5);
    let column = |index: usize| again.column(index).as_primitive::<Float64Type>();
    for row in 0..5 {
        assert!((column(0).value(row) - column(1).value(row)).abs() < 1e-9);
    }
    let classes = "SELECT r.value, p.hits, p.states FROM results r JOIN (
                       SELECT features, predictor, count(*) AS states,
                              count(*) FILTER (WHERE truth_class = predicted_class) AS hits
                       FROM predictions WHERE target = 'optimizer' AND part = 'test'
                       GROUP BY features, predictor) p
                   ON r.features = p.features AND r.predictor = p.predictor
                   WHERE r.metric = 'accuracy' AND r.part = 'test'";
    let classes = ask(&store, classes).await;
    assert_eq!(classes.num_rows(), 5);
    for row in 0..5 {
        let counts = [1, 2].map(|index| classes.column(index).as_primitive::<Int64Type>());
        let accuracy = counts[0].value(row) as f64 / counts[1].value(row) as f64;
        assert!(
            (classes.column(0).as_primitive::<Float64Type>().value(row) - accuracy).abs() < 1e-12
        );
    }
    let confusion = "SELECT sum(value) FROM results WHERE metric = 'confusion' AND part = 'test'
                     GROUP BY features, predictor";
    let confusion = ask(&store, confusion).await;
    let states = findings.outcomes[5].test().count.states as f64;
    assert_eq!(confusion.column(0).as_primitive::<Float64Type>().values(), &[states; 5]);
    assert!(store.verify().await.unwrap().findings.is_empty());
}

#[tokio::test]
async fn what_is_learnt_beats_the_mean_and_no_target_tells_itself() {
    let store = store().await;
    let findings = run(&experiment(), &store).await;
    let score = |target: &str, features: &str, predictor, metric| {
        let mut outcomes = findings.outcomes.iter();
        let is = |outcome: &&Outcome| {
            (outcome.target.as_str(), outcome.features.as_str(), outcome.predictor)
                == (target, features, predictor)
        };
        outcomes.find(is).unwrap().test().score(metric).unwrap().value
    };
    // All statistics grow with the number that the loss falls with: a line keeps that order.
    let tau = |features, predictor| score("test_loss", features, predictor, Metric::Tau);
    assert!(tau("global7_v1", Predictor::Ridge).unwrap() > 0.99);
    assert!(tau("global7_v1", Predictor::Gbt).unwrap() > 0.7);
    assert_eq!(tau("none", Predictor::Mean), None, "it says the same of all");
    // Were `optimizer=adam`, or momentum, which only `sgd` has, a feature, this would be 1.
    let told = score("optimizer", "hyper", Predictor::Softmax, Metric::Accuracy);
    assert!(told.unwrap() < 0.9, "{told:?}");
    let again = run(&experiment(), &store).await;
    for (one, other) in findings.outcomes.iter().zip(&again.outcomes) {
        assert_eq!(one.test().predicted, other.test().predicted, "the seed decides");
        assert_eq!(one.test().scores, other.test().scores);
    }
    let ceiling = findings.outcomes[0].test().score(Metric::TauCeiling).unwrap();
    assert!(ceiling.value.is_some() && ceiling.interval.is_none());
}

#[tokio::test]
async fn a_predictor_is_fitted_once_by_whatever_names() {
    let store = store().await;
    let predictors =
        vec![Predictor::Probe, Predictor::Ridge, Predictor::Mean, Predictor::Gbt, Predictor::Gbt];
    let targets = vec!["test_loss".to_owned()];
    let findings = run(&Experiment { predictors, targets, ..experiment() }, &store).await;
    let by: Vec<(&str, Predictor)> = findings
        .outcomes
        .iter()
        .map(|outcome| (outcome.features.as_str(), outcome.predictor))
        .collect();
    let expected = [
        ("none", Predictor::Mean),
        ("hyper", Predictor::Ridge),
        ("hyper", Predictor::Gbt),
        ("global7_v1", Predictor::Ridge),
        ("global7_v1", Predictor::Gbt),
    ];
    assert_eq!(by, expected);
}

#[tokio::test]
async fn numbers_are_not_said_to_be_stratified() {
    let store = store().await;
    let predictors = vec![Predictor::Mean];
    let findings = run(&Experiment { predictors, ..experiment() }, &store).await;
    let splits = [0, 1].map(|target: usize| findings.outcomes[target].split.as_str());
    assert_eq!(splits, ["70/15/15", "70/15/15 stratified"]);
}

#[tokio::test]
async fn models_that_a_split_leaves_out_are_not_studied() {
    let store = store().await;
    let ids = ask(&store, "SELECT model_id FROM models ORDER BY model_id LIMIT 20").await;
    let part = |index| [Part::Train, Part::Train, Part::Validation, Part::Test][index % 4];
    let ids = ids.column(0).as_primitive::<Int64Type>();
    let parts = ids.values().iter().enumerate().map(|(index, id)| (*id, part(index))).collect();
    let splitting = Splitting::Named(parts);
    let predictors = vec![Predictor::Ridge];
    let findings = run(&Experiment { splitting, predictors, ..numbers() }, &store).await;
    assert_eq!((findings.states.num_models(), findings.states.model_ids.len()), (20, 80));
    let outcome = &findings.outcomes[0];
    assert_eq!((outcome.train.models, outcome.test().count.models), (10, 5));
    let elsewhere = Splitting::Named([(7, Part::Train)].into());
    let error = try_to_run(&Experiment { splitting: elsewhere, ..numbers() }, &store).await;
    let said = "the split file names none of the `40` models selected";
    assert_eq!(error.unwrap_err().to_string(), said);
}

#[tokio::test]
async fn weights_of_several_architectures_have_a_way_out() {
    let store = store().await;
    let other: Vec<_> =
        (40..48).map(|index| synthetic_of("other", "cnn_s_rgb", index, 1)).collect();
    store.writer().await.unwrap().commit(&other, "train").await.unwrap();
    let weights = Experiment { features: vec!["weights".to_owned()], ..numbers() };
    let error = try_to_run(&weights, &store).await.unwrap_err();
    let said = "weights of several architectures have no common frame";
    assert_eq!(error.to_string(), said);
    assert!(error.hint().unwrap().contains("`--where \"arch = 'cnn_s'\"`"), "{error:?}");
    let filter = Some("arch = 'cnn_s_rgb'".to_owned());
    let selection = Selection { filter, ..weights.selection.clone() };
    run(&Experiment { selection, predictors: vec![Predictor::Mean], ..weights }, &store).await;
}

#[tokio::test]
async fn a_common_frame_is_told() {
    let store = store().await;
    let other: Vec<_> = (40..48).map(|index| synthetic_of("other", "cnn_m", index, 1)).collect();
    store.writer().await.unwrap().commit(&other, "train").await.unwrap();
    let told =
        told(&Experiment { features: vec!["norms_v1".to_owned()], ..numbers() }, &store).await;
    assert_eq!(
        told[0],
        "the states are of 2 architectures, `cnn_m` to `cnn_s`: features of tensors go by their \
         places, and what a model lacks is 0"
    );
}

/// Of its first state a model has no step, of the first two no angle.
#[tokio::test]
async fn features_that_some_states_lack_are_told_and_used() {
    let store = store().await;
    let features = vec!["trajectory_v1".to_owned()];
    let experiment = Experiment { features, ..numbers() };
    let findings = run(&experiment, &store).await;
    // 40 models lack `step_length` and `straightness` once, `turning_angle` and `curvature` twice.
    assert_eq!(
        told(&experiment, &store).await[2],
        "`trajectory_v1` lacks 240 values in 4 features: trees know them as missing, other \
         predictors take the mean of the training part"
    );
    let found = findings.outcomes.iter().filter(|outcome| outcome.features == "trajectory_v1");
    let finite = |outcome: &Outcome| outcome.test().predicted.iter().all(|value| value.is_finite());
    assert_eq!(found.filter(|outcome| finite(outcome)).count(), 2, "ridge and trees");
}

/// A learning curve up to epoch 1 has the accuracy of epoch 1.
#[tokio::test]
async fn a_learning_curve_does_not_hold_its_target() {
    let store = store().await;
    let curve = |target: &str, first: u32| {
        let epochs = zoolake::features::Epochs::Range(first, 3);
        Experiment {
            selection: Selection { epochs, ..Selection::default() },
            targets: vec![target.to_owned()],
            features: vec!["learning_curve_v1(1)".to_owned()],
            predictors: vec![Predictor::Probe],
            ..experiment()
        }
    };
    let error = try_to_run(&curve("test_loss", 1), &store).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`learning_curve_v1(1)` holds `test_loss` up to epoch 1, and `40` states are not later \
         than that"
    );
    let hint = "choose later ones with `--epoch 2..3`, or a shorter curve";
    assert_eq!(error.hint(), Some(hint));
    run(&curve("test_loss", 2), &store).await;
    run(&curve("optimizer", 1), &store).await;
    let error = try_to_run(&curve("optimizer", 0), &store).await.unwrap_err();
    let said = "`learning_curve_v1(1)` ends at epoch 1, and `40` states are earlier";
    assert_eq!(error.to_string(), said);
}

#[tokio::test]
async fn results_stay_and_predictions_leave_with_their_models() {
    let store = store().await;
    let experiment = experiment();
    let findings = run(&experiment, &store).await;
    record(&store, &experiment, &findings).await;
    record(&store, &experiment, &findings).await;
    let (results, predictions) =
        (count(&store, "results").await, count(&store, "predictions").await);
    let copy = Store::open_or_create(new_place()).await.unwrap();
    for _ in 0..2 {
        store.copy_to(&copy, &store.snapshot().await.unwrap(), &|_| ()).await.unwrap();
        assert_eq!(count(&copy, "results").await, results, "once, however often it is copied");
        assert_eq!(count(&copy, "predictions").await, predictions);
    }
    // Merged, they are in files of other names, and stay where their models leave.
    copy.compact(&|_| ()).await.unwrap();
    copy.drop_zoo("synthetic").await.unwrap();
    store.copy_to(&copy, &store.snapshot().await.unwrap(), &|_| ()).await.unwrap();
    assert_eq!(count(&copy, "results").await, results, "however often it is dropped");
    assert_eq!(count(&copy, "predictions").await, predictions);

    store.compact(&|_| ()).await.unwrap();
    assert_eq!(count(&store, "results").await, results);
    assert_eq!(count(&store, "predictions").await, predictions);
    store.drop_zoo("synthetic").await.unwrap();
    assert_eq!(count(&store, "results").await, results);
    assert_eq!(count(&store, "predictions").await, 0);
    let run = Run { stamp: Stamp::now(), version: 1 };
    let rows = (run.results(&experiment, &findings), run.predictions(&findings));
    let late = store.record("predict", &rows.0.unwrap(), &rows.1.unwrap()).await;
    let error = late.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert!(error.to_string().ends_with("was dropped while predictions were made"), "{error}");
}

/// As a backup is brought up to date.
#[tokio::test]
async fn a_store_that_is_copied_again_gets_the_runs_it_lacks() {
    let store = store().await;
    let other = (0..20).map(|index| synthetic_of("other", "cnn_s", index, 3)).collect::<Vec<_>>();
    store.writer().await.unwrap().commit(&other, "train").await.unwrap();
    let copy = Store::open_or_create(new_place()).await.unwrap();
    let bring =
        async || store.copy_to(&copy, &store.snapshot().await.unwrap(), &|_| ()).await.unwrap();
    let counts =
        async |store: &Store| (count(store, "results").await, count(store, "predictions").await);
    let experiment = experiment();
    let findings = run(&experiment, &store).await;
    record(&store, &experiment, &findings).await;
    bring().await;
    let of_a_run = counts(&store).await;
    assert_eq!(counts(&copy).await, of_a_run);

    // A run, and no model.
    record(&store, &experiment, &findings).await;
    let copied = bring().await;
    assert_eq!((copied.models, copied.results, copied.files), (0, of_a_run.0 as u64, 2));
    assert_eq!(counts(&copy).await, counts(&store).await);
    // A run beside models, in files of both that it lacks and that it has.
    let more = (20..24).map(|index| synthetic_of("other", "cnn_s", index, 3)).collect::<Vec<_>>();
    store.writer().await.unwrap().commit(&more, "train").await.unwrap();
    record(&store, &experiment, &findings).await;
    store.compact(&|_| ()).await.unwrap();
    let copied = bring().await;
    assert_eq!((copied.models, copied.results), (4, of_a_run.0 as u64));
    assert_eq!(counts(&copy).await, counts(&store).await);

    // What models took with them comes with them, of runs that are there as of others.
    copy.drop_zoo("other").await.unwrap();
    record(&store, &experiment, &findings).await;
    let copied = bring().await;
    assert_eq!((copied.models, copied.results), (24, of_a_run.0 as u64));
    assert_eq!(counts(&copy).await, counts(&store).await);
    // Nor does any run come twice, whatever files it is in.
    copy.compact(&|_| ()).await.unwrap();
    store.compact(&|_| ()).await.unwrap();
    assert_eq!((bring().await.files, copy.verify().await.unwrap().findings), (0, vec![]));
    assert_eq!(counts(&copy).await, counts(&store).await);
}

/// A folder with the store in `zoo`.
fn site() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("zoo");
    tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
        use zoolake::store::{CloudOptions, Location};
        let location = Location::new(place.to_str().unwrap(), &CloudOptions::default()).unwrap();
        let store = Store::open_or_create(location).await.unwrap();
        store.writer().await.unwrap().commit(&synthetics(0..40), "train").await.unwrap();
    });
    folder
}

#[test]
fn a_table_a_figure_and_a_run_to_ask_for() {
    let folder = site();
    let common = ["predict", "-s", "zoo", "-t", "test_loss", "-f", "global7_v1", "-p", "ridge"];
    let told = transcript(folder.path(), &[&common[..], &["--plot", "out.svg"]].concat());
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"run = '[0-9a-f-]+'", "run = '[run]'");
    // Four digits of a product of matrices are the same on every processor; more need not be.
    settings.bind(|| insta::assert_snapshot!(told));
    let svg = std::fs::read_to_string(folder.path().join("out.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("true test_loss") && svg.contains("global7_v1, ridge"));
    // 6 models of 4 states judge.
    assert_eq!(svg.matches("<circle").count(), 24);

    let ask = "SELECT count(DISTINCT run) AS runs FROM results";
    let asked = ["sql", "-s", "zoo", "--format", "csv", ask];
    assert!(transcript(folder.path(), &asked).ends_with("runs\n1\n\n"));
    transcript(folder.path(), &[&common[..], &["--no-save"]].concat());
    assert!(transcript(folder.path(), &asked).ends_with("runs\n1\n\n"), "--no-save");

    let copy =
        |more: &[&str]| transcript(folder.path(), &[&["copy", "zoo", "second"], more].concat());
    assert!(copy(&["--at", "1"]).contains("\ncopied 40 models: 4 files, "));
    let told = copy(&[]);
    assert!(
        told.contains("\ncopied 0 models and ") && told.contains(" results: 2 files, "),
        "{told}"
    );
    let told = copy(&[]);
    assert!(told.contains("nothing to copy: `second` lacks none of 40 models and "), "{told}");
    let told = transcript(folder.path(), &["log", "-s", "second", "--format", "csv"]);
    assert!(told.contains("copy zoo at 2: 0 models, results of predictions"), "{told}");
}

#[test]
fn a_protocol_has_its_own_score() {
    let folder = site();
    let common = ["predict", "-s", "zoo", "--protocol", "nfn_v1", "--epoch", "0", "--no-save"];
    let told = transcript(folder.path(), &[&common[..], &["--format", "csv"]].concat());
    let header =
        "target,features,predictor,metric,value,low,high,r2,tau_ceiling,spearman,l1,mse,chosen";
    assert!(told.contains(header), "{told}");
    assert!(told.contains("\ntest_acc,nfn_statnn_v1,statnn,tau,"), "{told}");
}

#[test]
fn a_split_file_is_named_by_what_it_says() {
    let folder = site();
    let ids = ["sql", "-s", "zoo", "--format", "csv", "SELECT model_id FROM models"];
    let ids = transcript(folder.path(), &ids);
    let ids = ids.lines().filter(|line| line.parse::<i64>().is_ok()).chain(["7"]).enumerate();
    let part = |index| ["train", "train", "validation", "test"][index % 4];
    let lines: String = ids.map(|(index, id)| format!("{id},{}\n", part(index))).collect();
    std::fs::write(folder.path().join("split.csv"), format!("model_id,part\n{lines}")).unwrap();
    let common = ["predict", "-s", "zoo", "-t", "test_loss", "-f", "hyper", "-p", "ridge"];
    let told = transcript(folder.path(), &[&common[..], &["--split-file", "split.csv"]].concat());
    assert!(told.contains("1 of 41 models in the split file are not selected\n"), "{told}");
    let ask = ["sql", "-s", "zoo", "--format", "csv", "SELECT DISTINCT split FROM results"];
    let split = transcript(folder.path(), &ask);
    let split = split.lines().find(|line| line.starts_with("file:")).unwrap();
    assert_eq!(split.len(), "file:01234567".len());
    assert!(told.contains(&format!("split {split} by model")), "{told}");
}

#[test]
fn what_networks_make_of_images_can_be_learnt_from() {
    let folder = site();
    for set in ["activations_v1(8)", "margins_v1(8)"] {
        let common = ["predict", "-s", "zoo", "-t", "test_loss", "--epoch", "0", "-p", "ridge"];
        let told = transcript(folder.path(), &[&common[..], &["-f", set, "--no-save"]].concat());
        assert!(told.contains(&format!(" {set} ")) && !told.contains("error"), "{told}");
    }
}

/// Nothing is computed for what cannot be told, drawn or recorded.
#[test]
fn what_would_fail_in_the_end_fails_at_once() {
    let folder = site();
    std::fs::write(folder.path().join("split.csv"), "model_id,part\n7,test\n").unwrap();
    let commands: [&[&str]; 10] = [
        &["predict", "-s", "zoo", "--confusion"],
        &["predict", "-s", "zoo", "--stratify"],
        &["predict", "-s", "zoo", "-t", "optimizer", "--plot", "out.svg"],
        &["predict", "-s", "zoo", "--plot", "nowhere/out.svg"],
        &["predict", "-s", "zoo", "-o", "out.xyz"],
        &["predict", "-s", "zoo", "-p", "gbt,ridge", "-t", "optimizer"],
        &["predict", "-s", "zoo", "-p", "logit_linear", "-t", "test_loss"],
        &["predict", "-s", "zoo", "--seed", "9223372036854775808"],
        &["predict", "-s", "zoo", "--zoo", "a", "--test-zoo", "b", "--stratify"],
        &["predict", "-s", "zoo", "--zoo", "a", "--test-zoo", "b", "--split-file", "split.csv"],
    ];
    insta::assert_snapshot!(transcripts(folder.path(), &commands));
}

#[test]
fn results_about_dropped_models_are_not_begun() {
    let folder = site();
    transcript(folder.path(), &["drop", "synthetic", "-s", "zoo", "--yes"]);
    let common = ["predict", "-s", "zoo", "-t", "test_loss", "-p", "ridge", "--at", "1"];
    let told = transcript(folder.path(), &[&common[..], &["-f", "global7_v1"]].concat());
    assert!(
        told.contains(
            "error: `40` of `40` models were dropped after commit 1, and results about them \
             cannot be recorded\nhint: add `--no-save`\n"
        ),
        "{told}"
    );
    let told = transcript(folder.path(), &[&common[..], &["-f", "hyper", "--no-save"]].concat());
    assert!(told.contains("measured on synthetic: 40 models"), "{told}");
}

#[test]
fn a_benchmark_takes_what_varies() {
    let folder = site();
    let arguments = ["benchmark", "synthetic", "-s", "zoo", "-f", "norms_v1", "--format", "csv"];
    let told = transcript(folder.path(), &arguments);
    for target in ["test_acc", "ggap", "epoch", "activation", "optimizer"] {
        assert!(told.contains(&format!("\n{target},norms_v1,")), "{told}");
    }
    assert!(told.contains("left out, since they do not vary: lr, weight_decay, dropout, init"));
}

#[test]
fn wrong_input() {
    let folder = site();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("split.csv", "model_id,part\n7,tset\n");
    let commands: [&[&str]; 14] = [
        &["predict", "-s", "zoo", "-t", "tset_acc"],
        &["predict", "-s", "zoo", "-t", "lr"],
        &["predict", "-s", "zoo", "-t", "val_acc"],
        &["predict", "-s", "zoo", "-t", "momentum"],
        &["predict", "-s", "zoo", "-f", "hsg_quintile_v1"],
        &["predict", "-s", "zoo", "-p", "forest"],
        &["predict", "-s", "zoo", "-t", "activation", "-p", "ridge", "-f", "hyper"],
        &["predict", "-s", "zoo", "-t", "test_loss", "-p", "statnn", "-f", "hyper"],
        &["predict", "-s", "zoo", "--zoo", "synthetics"],
        &["predict", "-s", "zoo", "--where", "seed < 3"],
        &["predict", "-s", "zoo", "--where", "seed < 0"],
        &["predict", "-s", "zoo", "--protocol", "nfn"],
        &["predict", "-s", "zoo", "--split-file", "split.csv"],
        &["predict", "-s", "zoo", "--confusion", "-p", "ridge", "-f", "hyper"],
    ];
    insta::assert_snapshot!(transcripts(folder.path(), &commands));
}
