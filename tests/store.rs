//! A store: what is committed is there, once, and says so.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float32Type, Int64Type};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use zoolake::Kind;
use zoolake::arch::Arch;
use zoolake::sql::Session;
use zoolake::store::{CloudOptions, Location, Store};
use zoolake::train::{Purpose, Stream};

use crate::fixture::{damage, edit, entry, new_place, synthetic, synthetic_store, synthetics};

async fn count(store: &Store, sql: &str) -> i64 {
    let session = Session::new(store, &store.snapshot().await.unwrap()).await.unwrap();
    let rows = session.sql(sql).await.unwrap().collect().await.unwrap();
    rows[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn what_is_committed_is_there_and_verifies() {
    let store = synthetic_store().await;
    let report = store.verify().await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.version, report.models, report.unreferenced), (2, 4, 0));
    assert_eq!(count(&store, "SELECT count(*) FROM models").await, 4);
    assert_eq!(count(&store, "SELECT count(*) FROM weights_cnn_s").await, 16);
    assert_eq!(count(&store, "SELECT count(*) FROM tensors").await, 10, "one layout, written once");
}

#[tokio::test]
async fn weights_come_back_bit_by_bit_in_order() {
    let store = synthetic_store().await;
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    for index in 0..4 {
        let trained = synthetic(index, 3);
        let sql = format!(
            "SELECT weights FROM vectors_cnn_s WHERE model_id = {} ORDER BY epoch",
            trained.model.id
        );
        let batches = session.sql(&sql).await.unwrap().collect().await.unwrap();
        let batch = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
        let column = batch.column(0).as_fixed_size_list();
        assert_eq!(column.len(), trained.states.len());
        for (row, state) in trained.states.iter().enumerate() {
            assert_eq!(
                column.value(row).as_primitive::<Float32Type>().values(),
                &state.weights.read().unwrap()[..]
            );
        }
    }
}

#[tokio::test]
async fn committing_again_adds_nothing() {
    let store = synthetic_store().await;
    let mut writer = store.writer().await.unwrap();
    let commit = writer.commit(&synthetics(0..4), "train").await.unwrap();
    assert_eq!((commit.version, commit.added, commit.already_there), (2, 0, 4));
    let commit = writer.commit(&synthetics(2..6), "train").await.unwrap();
    assert_eq!((commit.version, commit.added, commit.already_there), (3, 2, 2));
    assert_eq!(store.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_model_twice_in_one_commit_is_stored_once() {
    let store = Store::open_or_create(new_place()).await.unwrap();
    let twice = [synthetic(0, 3), synthetic(0, 3)];
    let commit = store.writer().await.unwrap().commit(&twice, "train").await.unwrap();
    assert_eq!((commit.added, commit.already_there), (1, 1));
    assert_eq!(store.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn older_states_stay_readable() {
    let store = synthetic_store().await;
    assert_eq!(store.snapshot_at(0).await.unwrap().num_models(), 0);
    assert_eq!(store.snapshot_at(1).await.unwrap().num_models(), 3);
    assert_eq!(store.snapshot_at(2).await.unwrap(), store.snapshot().await.unwrap());
    let error = store.snapshot_at(3).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    let place = store.location();
    assert_eq!(error.to_string(), format!("store `{place}` has no commit `3`: the newest is `2`"));
}

#[tokio::test]
async fn a_folded_log_opens_to_the_same_snapshot() {
    let store = Store::open_or_create(new_place()).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    for index in 0..43 {
        writer.commit(&[synthetic(index, 0)], "train").await.unwrap();
    }
    let folded = Path::from("log/00000000000000000040.snapshot.json");
    store.objects().head(&folded).await.unwrap();
    assert_eq!(store.snapshot().await.unwrap(), *writer.snapshot());
    assert_eq!(store.snapshot_at(21).await.unwrap().num_models(), 21);
    assert_eq!(store.verify().await.unwrap().findings, []);
    // A damaged folded log costs time, not data; `verify` says so.
    store.objects().put(&folded, "{".into()).await.unwrap();
    assert_eq!(store.snapshot().await.unwrap(), *writer.snapshot());
    assert_eq!(store.verify().await.unwrap().findings.len(), 1);
}

#[tokio::test]
async fn damage_is_named_with_what_still_works() {
    let store = synthetic_store().await;
    let snapshot = store.snapshot().await.unwrap();
    let file = snapshot.files().find(|file| file.table.to_string() == "epochs").unwrap();
    let path = Path::from(file.path.as_str());
    let whole = store.objects().get(&path).await.unwrap().bytes().await.unwrap();

    let half = whole.slice(..whole.len() / 2);
    store.objects().put(&path, half.into()).await.unwrap();
    let session = Session::new(&store, &snapshot).await.unwrap();
    let failed = match session.sql("SELECT max(test_acc) FROM epochs").await {
        Ok(rows) => rows.collect().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(failed.kind(), Kind::Corrupt);
    assert!(failed.to_string().starts_with(&format!("`{path}` has `")), "{failed}");
    assert!(failed.hint().unwrap().contains("other tables still work"));
    assert_eq!(count(&store, "SELECT count(DISTINCT zoo) FROM models").await, 1);

    store.objects().put(&path, whole.into()).await.unwrap();
    damage(&store, &path, |bytes| bytes[10] ^= 1).await;
    let findings = store.verify().await.unwrap().findings;
    assert_eq!(findings.len(), 1);
    assert!(findings[0].problem.contains("SHA-256"), "{findings:?}");

    store.objects().delete(&path).await.unwrap();
    let findings = store.verify().await.unwrap().findings;
    assert!(findings[0].problem.contains("is missing"), "{findings:?}");
}

/// What a query says that fails, with its hint.
async fn failure(store: &Store, sql: &str) -> (Kind, String, bool) {
    let session = Session::new(store, &store.snapshot().await.unwrap()).await.unwrap();
    let failed = match session.sql(sql).await {
        Ok(rows) => rows.collect().await.unwrap_err(),
        Err(error) => error,
    };
    let hinted = failed.hint().is_some_and(|hint| hint.contains("`zoolake verify`"));
    (failed.kind(), failed.to_string(), hinted)
}

/// What is asked for lies beyond the end, which stores call a wrong question.
#[tokio::test]
async fn a_file_that_lost_its_end_is_named() {
    let store = Store::open_or_create(new_place()).await.unwrap();
    store.writer().await.unwrap().commit(&synthetics(0..64), "train").await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    for (table, sql) in [
        ("weights_cnn_s", "SELECT max(vector_l2_norm(weights)) FROM vectors_cnn_s"),
        ("epochs", "SELECT max(test_acc) FROM epochs"),
    ] {
        let file = snapshot.files().find(|file| file.table.to_string() == table).unwrap();
        damage(&store, &file.path.as_str().into(), |bytes| bytes.truncate(1)).await;
        let (kind, said, hinted) = failure(&store, sql).await;
        assert_eq!((kind, hinted), (Kind::Corrupt, true), "{said}");
        let expected = format!("`{}` has `1` bytes instead of `{}`", file.path, file.bytes);
        assert!(said.starts_with(&expected), "{said}");
    }
}

/// Of two damaged files, that which a query reads.
#[tokio::test]
async fn damage_to_other_tables_is_not_blamed() {
    let store = synthetic_store().await;
    let snapshot = store.snapshot().await.unwrap();
    let file = |table: &str| {
        let files = snapshot.files().filter(|file| file.table.to_string() == table);
        Path::from(files.last().unwrap().path.as_str())
    };
    let (weights, epochs) = (file("weights_cnn_s"), file("epochs"));
    damage(&store, &epochs, |bytes| bytes[10] ^= 1).await;
    damage(&store, &weights, |bytes| *bytes.last_mut().unwrap() ^= 1).await;
    let sql = "SELECT max(vector_l2_norm(weights)) FROM vectors_cnn_s";
    let (kind, said, hinted) = failure(&store, sql).await;
    assert_eq!((kind, hinted), (Kind::Corrupt, true), "{said}");
    assert!(said.starts_with(&format!("`{weights}` has been altered")), "{said}");
}

#[tokio::test]
async fn a_damaged_log_entry_is_named_and_older_states_open() {
    let store = synthetic_store().await;
    let entry = Path::from("log/00000000000000000002.json");
    store.objects().put(&entry, "{\"format\": 1,".into()).await.unwrap();
    let error = store.snapshot().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains("log/00000000000000000002.json` is damaged"), "{error}");
    assert!(error.hint().unwrap().starts_with("`--at 1` reads the store as it was before"));
    assert_eq!(store.snapshot_at(1).await.unwrap().num_models(), 3);
    assert_eq!(store.verify().await.unwrap().findings.len(), 1);
}

/// A store of `commits` models without training, each in a commit of its own.
async fn of_commits(commits: u32) -> Store {
    let store = Store::open_or_create(new_place()).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    for index in 0..commits {
        writer.commit(&[synthetic(index, 0)], "train").await.unwrap();
    }
    store
}

#[tokio::test]
async fn what_a_newer_zoolake_wrote_is_not_called_damage() {
    let store = of_commits(20).await;
    let folded = Path::from("log/00000000000000000020.snapshot.json");
    for path in [entry(2), folded] {
        edit(&store, &path, |json| json["format"] = 9.into()).await;
        let error = store.verify().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{path}");
        assert_eq!(error.hint(), Some("install a newer zoolake"));
        edit(&store, &path, |json| json["format"] = 1.into()).await;
    }
}

/// The log says which objects are read, copied and removed: none but data files.
#[tokio::test]
async fn a_log_that_names_other_objects_is_refused() {
    let store = synthetic_store().await;
    for path in ["log/00000000000000000001.json", "../thesis.tex", "data/../zoolake.json", "data"] {
        for key in ["/add/0/path", "/remove/0"] {
            edit(&store, &entry(2), |json| {
                json["remove"] = serde_json::json!(["data/models/0.parquet"]);
                *json.pointer_mut(key).unwrap() = path.into();
            })
            .await;
            let error = store.snapshot().await.unwrap_err();
            assert_eq!(error.kind(), Kind::Corrupt);
            let names = format!("names `{path}`, which is no data file");
            assert!(error.to_string().ends_with(&names), "{error}");
            edit(&store, &entry(2), |json| {
                *json.pointer_mut("/add/0/path").unwrap() = "data/models/0.parquet".into();
            })
            .await;
        }
    }
}

/// Entry 20 is lost, and the log folded behind it is not: nobody may commit another 20.
#[tokio::test]
async fn nobody_commits_below_a_folded_log() {
    let store = of_commits(20).await;
    let bytes = store.objects().get(&entry(20)).await.unwrap().bytes().await.unwrap();
    store.objects().delete(&entry(20)).await.unwrap();
    let place = "log/00000000000000000020.snapshot.json";
    let report = store.verify().await.unwrap();
    let findings: Vec<_> = report.findings.iter().map(|finding| finding.place.as_str()).collect();
    assert_eq!((report.version, findings), (19, vec![place]));
    let error = store.writer().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains(&format!("`{place}` is of a later commit")), "{error}");
    assert_eq!(store.snapshot().await.unwrap().num_models(), 19, "readers go on");

    store.objects().put(&entry(20), bytes.into()).await.unwrap();
    store.writer().await.unwrap().commit(&[synthetic(20, 0)], "train").await.unwrap();
    assert_eq!(store.verify().await.unwrap().findings, []);
    let mark = Path::from("log/00000000000000000099.vacuumed.json");
    store.objects().put(&mark, "{}".into()).await.unwrap();
    assert_eq!(store.verify().await.unwrap().findings.len(), 1);
    assert_eq!(store.writer().await.unwrap_err().kind(), Kind::Corrupt);
}

/// A folded log that was altered, and can still be parsed, is passed over.
#[tokio::test]
async fn an_altered_folded_log_is_not_believed() {
    let store = of_commits(21).await;
    let whole = store.snapshot().await.unwrap();
    let folded = Path::from("log/00000000000000000020.snapshot.json");
    edit(&store, &folded, |json| drop(json["files"].as_array_mut().unwrap().pop())).await;
    assert_eq!(store.snapshot().await.unwrap(), whole);
    let findings = store.verify().await.unwrap().findings;
    assert_eq!(findings.len(), 1);
    assert!(findings[0].problem.contains("has been altered"), "{findings:?}");
    // Those of earlier versions have no checksum.
    edit(&store, &folded, |json| drop(json.as_object_mut().unwrap().remove("sha256"))).await;
    let findings = store.verify().await.unwrap().findings;
    assert_eq!(findings[0].problem, "differs from the log it folds");
}

#[tokio::test]
async fn what_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place =
        || Location::new(folder.path().to_str().unwrap(), &CloudOptions::default()).unwrap();
    let error = Store::open(place()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);

    std::fs::write(folder.path().join("thesis.tex"), "text").unwrap();
    let error = Store::open_or_create(place()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().ends_with("it has `thesis.tex`"), "{error}");
    std::fs::remove_file(folder.path().join("thesis.tex")).unwrap();

    Store::open_or_create(place()).await.unwrap();
    std::fs::write(folder.path().join("zoolake.json"), "{\"format\": 9}").unwrap();
    let error = Store::open(place()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("has format `9`, and this zoolake reads up to `1`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_anywhere_in_a_footer_is_named() {
    let store = synthetic_store().await;
    let snapshot = store.snapshot().await.unwrap();
    let file = snapshot.files().find(|file| file.table.to_string() == "epochs").unwrap();
    let path = Path::from(file.path.as_str());
    let whole = store.objects().get(&path).await.unwrap().bytes().await.unwrap();
    let mut refused = 0;
    for back in 1..=200 {
        let mut flipped = whole.to_vec();
        flipped[whole.len() - back] ^= 0x10;
        store.objects().put(&path, flipped.into()).await.unwrap();
        let session = Session::new(&store, &snapshot).await.unwrap();
        let answer = match session.sql("SELECT max(test_acc) FROM epochs").await {
            Ok(rows) => rows.collect().await,
            Err(error) => Err(error),
        };
        // Some bytes of a footer do not matter to this query.
        if let Err(error) = answer {
            assert_eq!(error.kind(), Kind::Corrupt, "{back} from the end: {error:?}");
            assert!(error.to_string().starts_with(&format!("`{path}` ")), "{error}");
            refused += 1;
        }
    }
    assert!(refused > 20, "{refused}");
}

#[tokio::test]
async fn large_commits_have_several_row_groups_and_pages_of_keys() {
    use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
    use parquet::file::metadata::PageIndexPolicy;

    let store = Store::open_or_create(new_place()).await.unwrap();
    let mut noise = synthetic(0, 5000);
    let mut stream = Stream::new(1, Purpose::Init);
    for state in &mut noise.states {
        let size = state.weights.read().unwrap().len();
        state.weights = (0..size).map(|_| stream.normal()).collect::<Vec<_>>().into();
    }
    store.writer().await.unwrap().commit(&[noise], "train").await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    let file = snapshot.files().find(|file| file.table.to_string() == "weights_cnn_s").unwrap();
    let object = store.objects().get(&file.path.as_str().into()).await.unwrap();
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(
        object.bytes().await.unwrap(),
        options,
    );
    let reader = reader.unwrap();
    let metadata = reader.metadata();
    // 49 MB of weights in row groups of 32 MiB of encoded bytes, at most.
    assert!(metadata.num_row_groups() >= 2, "{}", metadata.num_row_groups());
    for group in metadata.row_groups() {
        assert!(group.compressed_size() < 40 << 20, "{}", group.compressed_size());
    }
    let epoch_pages = metadata.offset_index().unwrap()[0][1].page_locations().len();
    assert!(epoch_pages > 1, "{epoch_pages}");
}

/// A hundred tensors with dots in their names, and more values than parameters.
#[tokio::test(flavor = "multi_thread")]
async fn a_residual_network_is_stored_with_its_running_statistics() {
    let arch = Arch::by_name("resnet18_c10").unwrap();
    let mut trained = synthetic(0, 0);
    trained.model.arch = arch.name();
    trained.states[0].weights =
        (0..arch.layout().size()).map(|i| (i % 1000) as f32 / 8.0).collect::<Vec<f32>>().into();
    let store = Store::open_or_create(new_place()).await.unwrap();
    store.writer().await.unwrap().commit(&[trained.clone()], "train").await.unwrap();
    assert_eq!(count(&store, "SELECT num_params FROM models").await, 11_173_962);
    assert_eq!(count(&store, "SELECT sum(size) FROM tensors").await, 11_183_562);
    let buffers = "SELECT sum(size) FROM tensors WHERE kind = 'buffer'";
    assert_eq!(count(&store, buffers).await, 9600);
    let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
    let vector = async |sql: &str| {
        let rows = session.sql(sql).await.unwrap().collect().await.unwrap();
        let values = match rows[0].column(0).data_type() {
            DataType::FixedSizeList(..) => rows[0].column(0).as_fixed_size_list().value(0),
            _ => rows[0].column(0).as_list::<i32>().value(0),
        };
        values.as_primitive::<Float32Type>().values().to_vec()
    };
    let weights = trained.states[0].weights.read().unwrap();
    for tensor in ["layer2.0.downsample.1.running_var", "layer4.1.conv2.weight", "fc.bias"] {
        let spec = arch.layout().tensors().iter().find(|spec| spec.name == tensor).unwrap();
        let column = format!("SELECT \"{tensor}\" FROM weights_resnet18_c10");
        assert_eq!(vector(&column).await, weights[spec.range()], "{tensor}");
        let row = format!("SELECT weights FROM weights WHERE tensor = '{tensor}'");
        assert_eq!(vector(&row).await, weights[spec.range()], "{tensor}");
    }
    assert_eq!(vector("SELECT weights FROM vectors_resnet18_c10").await, *weights);
    assert_eq!(store.verify().await.unwrap().findings, []);
}
