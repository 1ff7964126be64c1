//! The command line as users see it: what it prints, and how it exits.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use zoolake::store::{CloudOptions, Location, Store};

use crate::fixture::{small_spec, synthetics};

/// A folder with a store `zoo` of synthetic models.
fn site() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("zoo");
    tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
        let location = Location::new(place.to_str().unwrap(), &CloudOptions::default()).unwrap();
        let store = Store::open_or_create(location).await.unwrap();
        store.writer().await.unwrap().commit(&synthetics(0..4), "train").await.unwrap();
    });
    folder
}

fn zoolake(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoolake"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    for variable in [
        "ZOOLAKE_STORE",
        "ZOOLAKE_DATA",
        "AWS_ENDPOINT_URL",
        "SLURM_ARRAY_TASK_ID",
        "JOB_COMPLETION_INDEX",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command and tells everything a user would see of it.
pub(crate) fn transcript(folder: &Path, arguments: &[&str]) -> String {
    let output = zoolake(folder, arguments).output().unwrap();
    let shown: Vec<String> = arguments
        .iter()
        .map(|argument| match argument.contains([' ', '\'', '*', '\n']) {
            true => format!("\"{argument}\""),
            false => (*argument).to_owned(),
        })
        .collect();
    let mut text = format!("$ zoolake {}\n", shown.join(" "));
    for stream in [output.stdout, output.stderr] {
        text += &String::from_utf8(stream).unwrap();
    }
    match output.status.code() {
        Some(0) => text + "\n",
        code => text + &format!("[exit {}]\n\n", code.unwrap()),
    }
}

pub(crate) fn transcripts(folder: &Path, commands: &[&[&str]]) -> String {
    commands.iter().map(|arguments| transcript(folder, arguments)).collect()
}

#[test]
fn help() {
    let folder = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 19] = [
        &["--help"],
        &["demo", "--help"],
        &["zoos", "--help"],
        &["train", "--help"],
        &["sql", "--help"],
        &["query", "--help"],
        &["features", "--help"],
        &["describe", "--help"],
        &["predict", "--help"],
        &["benchmark", "--help"],
        &["datasets", "--help"],
        &["datasets", "fetch", "--help"],
        &["datasets", "add", "--help"],
        &["log", "--help"],
        &["verify", "--help"],
        &["compact", "--help"],
        &["vacuum", "--help"],
        &["drop", "--help"],
        &["copy", "--help"],
    ];
    insta::assert_snapshot!(transcripts(folder.path(), &commands));
}

#[test]
fn formats() {
    let folder = site();
    let query = "SELECT seed, name, lr, momentum, test_acc, weights FROM states \
                 JOIN vectors_cnn_s v ON v.model_id = states.model_id AND v.epoch = states.epoch \
                 WHERE states.epoch = 3 AND seed IN (1, 2) ORDER BY seed";
    let short = query.replace("weights", "array_slice(weights, 2, 4) AS w");
    let mut text = transcript(folder.path(), &["sql", "-s", "zoo", query]);
    for format in ["table", "markdown", "csv", "json", "ndjson"] {
        text += &transcript(folder.path(), &["sql", "-s", "zoo", "--format", format, &short]);
    }
    text += &transcript(
        folder.path(),
        &["sql", "-s", "zoo", "--format", "csv", "SELECT 1 AS one WHERE false"],
    );
    insta::assert_snapshot!(text);
}

#[test]
fn features() {
    let folder = site();
    let ask = |arguments: &[&'static str]| -> Vec<&'static str> {
        [&["features"], arguments, &["-s", "zoo"]].concat()
    };
    let mut text = transcript(folder.path(), &["features", "--format", "csv"]);
    for arguments in [
        ["norms_v1", "--tensors", "conv1.bias,fc2"].as_slice(),
        &["hsg_quintiles_v1", "--tensors", "conv1.bias", "--epoch", "1..2", "--format", "csv"],
        &["learning_curve_v1(1)", "--zoo", "synthetic", "--format", "csv"],
        &["hyper", "--epoch", "0", "--format", "markdown"],
        &["trajectory_v1", "--show"],
        &["hsg_quintiles_v1", "--tensors", "conv1", "--zoo", "synthetic", "--show"],
        &["norms_v1", "--tensors", "fc3"],
        &["global7_v1", "--tensors", "fc2"],
        &["norms_v1", "--zoo", "synthetics"],
        &["norms_v1", "--arch", "cnn_m"],
        &["norms_v1", "--epoch", "4"],
        &["norms_v1(3)"],
        &["learning_curve_v1(one)"],
        &["hsg_quintiles"],
    ] {
        text += &transcript(folder.path(), &ask(arguments));
    }
    text += &transcript(folder.path(), &["features", "norms_v1"]);
    insta::assert_snapshot!(text);
}

#[test]
fn describe_and_verify() {
    let folder = site();
    let commands: [&[&str]; 6] = [
        &["describe", "-s", "zoo"],
        &["describe", "-s", "zoo", "--at", "0"],
        &["describe", "-s", "zoo", "epochs"],
        &["describe", "-s", "zoo", "weights_cnn_s", "--format", "markdown"],
        &["describe", "-s", "zoo", "vectors_cnn_s"],
        &["verify", "-s", "zoo"],
    ];
    let mut settings = insta::Settings::clone_current();
    // Sizes change with the version in the footer and with zstd.
    settings.add_filter(r"( +)\d{4,6}( +)(\d+)( +)[\d.]+( +one row)", "    [bytes]$2$3$4[ratio]$5");
    settings.add_filter(r"( +)\d{4,6}( +NULL +NULL +)(one row|parameter)", "    [bytes]$2$3");
    settings.add_filter(r"files, [\d.]+ kB", "files, [size]");
    settings.bind(|| insta::assert_snapshot!(transcripts(folder.path(), &commands)));
}

/// Nobody can tell whether the newest log entries are lost: who knows of later ones can.
#[test]
fn files_of_no_commit_may_be_of_lost_log_entries() {
    let folder = site();
    std::fs::remove_file(folder.path().join("zoo/log/00000000000000000001.json")).unwrap();
    let told = transcript(folder.path(), &["verify", "-s", "zoo"]);
    assert_eq!(
        told,
        "$ zoolake verify -s zoo\nsound: 0 models in 0 files, 0 B, at commit 0\n\
         4 data files of no commit: of writers that were killed, failed or are at work, or of log \
         entries that are lost; before `zoolake vacuum` removes them, see that `zoolake log` begins \
         with the last commit you know of\n\n"
    );
}

#[test]
fn requests_are_counted_on_standard_error() {
    let folder = site();
    let arguments = ["sql", "-s", "zoo", "--format", "csv", "SELECT count(*) AS n FROM epochs"];
    let counted = zoolake(folder.path(), &arguments).arg("--io-stats").output().unwrap();
    assert_eq!(counted.stdout, b"n\n16\n");
    let said = String::from_utf8(counted.stderr).unwrap();
    let requests = "requests: 2 GET, 0 ranged GET, 1 LIST, 0 HEAD, 0 PUT, 0 PUT-create, 0 DELETE; ";
    assert!(said.starts_with(requests) && said.ends_with(" 0 B written\n"), "{said}");
    let silent = zoolake(folder.path(), &arguments).output().unwrap();
    assert_eq!(silent.stderr, b"");
}

#[test]
fn named_queries() {
    let folder = site();
    let commands: [&[&str]; 4] = [
        &["query"],
        &["query", "zoos", "-s", "zoo"],
        &["query", "best_models", "-s", "zoo", "-p", "k=2"],
        &["query", "zoos", "--show"],
    ];
    insta::assert_snapshot!(transcripts(folder.path(), &commands));
}

#[test]
fn operations() {
    let folder = site();
    std::fs::write(folder.path().join("more.toml"), small_spec("more", 2)).unwrap();
    let commands: [&[&str]; 20] = [
        &[
            "train",
            "more.toml",
            "-s",
            "zoo",
            "-j",
            "1",
            "--progress",
            "none",
            "--commit-after",
            "600",
        ],
        &["log", "-s", "zoo"],
        &["compact", "-s", "zoo"],
        &["compact", "-s", "zoo"],
        &["log", "-s", "zoo", "--limit", "1", "--format", "ndjson"],
        &["verify", "-s", "zoo"],
        &["drop", "mor", "-s", "zoo"],
        &["drop", "more", "-s", "zoo"],
        &["drop", "more", "-s", "zoo", "--yes"],
        &["vacuum", "-s", "zoo"],
        &["vacuum", "-s", "zoo", "--older-than", "0s"],
        &["copy", "zoo", "second", "--at", "3"],
        &["copy", "zoo", "second"],
        &["copy", "zoo", "third", "--at", "0"],
        &["copy", "zoo", "zoo/zoolake.json"],
        &["copy", "third", "second"],
        &["log", "-s", "second"],
        &["describe", "-s", "second"],
        &["log", "-s", "zoo", "--at", "2"],
        &["verify", "-s", "second"],
    ];
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\dT[\d:.]+Z? *", "[time] ");
    settings.add_filter(r"models in [\dhms. ]+\n", "models in [seconds] s\n");
    settings.add_filter(r"[\d.]+ kB", "[size]");
    settings.add_filter(r"( +)\d{4,6}( +)(\d+)( +)[\d.]+( +one row)", "    [bytes]$2$3$4[ratio]$5");
    settings.add_filter(r"( +)\d{4,6}( +NULL +NULL +)(one row|parameter)", "    [bytes]$2$3");
    settings.add_filter(r"( +)\d{4,6}( *\n)", "    [bytes]$2");
    settings.add_filter(r#""bytes_added":\d+"#, "\"bytes_added\":[bytes]");
    settings.bind(|| insta::assert_snapshot!(transcripts(folder.path(), &commands)));
}

/// Takes measured times out of snapshots.
fn timeless() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"time        about [\dhdms. ]+ for", "time        about [time] for");
    settings
}

#[test]
fn dry_run() {
    let folder = site();
    std::fs::write(folder.path().join("zoo.toml"), small_spec("synthetic", 1200)).unwrap();
    let commands: [&[&str]; 3] = [
        &["train", "zoo.toml", "--store", "new", "--dry-run", "--jobs", "2"],
        &["train", "zoo.toml", "-s", "zoo", "--dry-run", "-l", "7", "--shard", "1/2", "-j", "1"],
        &["train", "mnist_hyp_fix", "--store", "zoo", "--dry-run", "--jobs", "8"],
    ];
    timeless().bind(|| insta::assert_snapshot!(transcripts(folder.path(), &commands)));
    assert!(!folder.path().join("new").exists(), "a dry run writes nothing");
}

#[test]
fn datasets() {
    let folder = tempfile::tempdir().unwrap();
    // Eight bytes of an image, and labels, as numpy.save writes them.
    for (part, images) in [("train", 3_usize), ("test", 1)] {
        let save = |name: &str, shape: &str, values: &[u8]| {
            let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
            let header = format!("{header:117}\n");
            let file = [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), values].concat();
            std::fs::create_dir_all(folder.path().join("arrays")).unwrap();
            std::fs::write(folder.path().join(format!("arrays/{part}_{name}.npy")), file).unwrap();
        };
        let values: Vec<u8> = (0..8 * images as u8).collect();
        save("images", &format!("({images}, 2, 4)"), &values);
        save("labels", &format!("({images},)"), &values[..images]);
    }
    let spec = small_spec("steps", 1).replace("digits", "steps");
    std::fs::write(folder.path().join("steps.toml"), spec).unwrap();
    let commands: [&[&str]; 10] = [
        &["datasets"],
        &["datasets", "add", "steps", "arrays"],
        &["datasets", "add", "steps", "arrays"],
        &["datasets", "add", "mnist", "arrays"],
        &["datasets", "add", "other", "nowhere"],
        &["datasets"],
        &["datasets", "fetch", "digits", "steps"],
        &["datasets", "fetch", "minst"],
        &["train", "steps.toml", "--store", "zoo", "--dry-run"],
        &["train", "steps.toml", "--store", "zoo", "--dry-run", "--data", "nowhere"],
    ];
    timeless().bind(|| insta::assert_snapshot!(transcripts(folder.path(), &commands)));
}

#[test]
fn zoos() {
    let folder = tempfile::tempdir().unwrap();
    let commands: [&[&str]; 2] = [&["zoos"], &["zoos", "--format", "csv"]];
    insta::assert_snapshot!(transcripts(folder.path(), &commands));
    // What depends on the machine: a positive number of hours for each.
    let output = zoolake(folder.path(), &["zoos", "--estimate", "--format", "csv"]).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let mut lines = text.lines();
    assert!(lines.next().unwrap().ends_with(",weights_bytes,hours"));
    for line in lines {
        let hours: f64 = line.rsplit_once(',').unwrap().1.parse().unwrap();
        assert!(hours > 0.0, "{line}");
    }
}

#[test]
fn wrong_input() {
    let folder = site();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("typo.toml", &small_spec("typo", 1).replace("epochs", "epoch"));
    write("value.toml", &small_spec("value", 1).replace("\"tanh\"", "[\"tanh\", \"tan\"]"));
    write("mnist.toml", &small_spec("mnist", 1).replace("digits", "mnist"));
    let many = small_spec("many", 1).replace("digits", "cifar100");
    write("many.toml", &many.replace("cnn_s", "resnet18_c10"));
    write("notes.txt", "not a store");
    std::fs::create_dir_all(folder.path().join("foreign/.git")).unwrap();
    write("foreign/thesis.tex", "text");
    std::fs::create_dir_all(folder.path().join("newer")).unwrap();
    write("newer/zoolake.json", "{\"format\": 2}");
    let commands: [&[&str]; 40] = [
        &["sql", "SELECT 1"],
        &["sql", "-s", "missing", "SELECT 1"],
        &["sql", "-s", "notes.txt", "SELECT 1"],
        &["sql", "-s", "foreign", "SELECT 1"],
        &["sql", "-s", "newer", "SELECT 1"],
        &["sql", "-s", "ftp://host/zoo", "SELECT 1"],
        &["sql", "-s", "zoo", "--at", "9", "SELECT 1"],
        &["sql", "-s", "zoo", "SELEC 1"],
        &["sql", "-s", "zoo", "SELECT *\nFROM models\nWHERE (lr > 1"],
        &["sql", "-s", "zoo", "SELECT max(tst_acc) FROM states"],
        &["sql", "-s", "zoo", "SELECT * FROM state"],
        &["sql", "-s", "zoo", "SELECT * FROM weights_resnet18"],
        &["sql", "-s", "zoo", "SELECT * FROM norms_v1"],
        &["sql", "-s", "zoo", "SELECT vector_meen(weights) FROM weights"],
        &["sql", "-s", "zoo", "SELECT vector_mean(name) FROM models"],
        &["sql", "-s", "zoo", "SELECT avg(weights) FROM weights"],
        &["sql", "-s", "s3:/bucket/zoo", "SELECT 1"],
        &["sql", "-s", "zoo", "SELECT 1/0"],
        &["sql", "-s", "zoo", "DELETE FROM models"],
        &["sql", "-s", "zoo", "SELECT 1; SELECT 2"],
        &["sql", "-s", "zoo", "--file", "missing.sql"],
        &["sql", "-s", "zoo", "-o", "result.xlsx", "SELECT 1"],
        &[
            "sql",
            "-s",
            "zoo",
            "-o",
            "result.csv",
            "SELECT * FROM models m JOIN epochs e ON m.model_id = e.model_id",
        ],
        &["train", "digits_demo", "-s", "foreign", "--dry-run"],
        &["query", "best_models"],
        &["query", "best_model", "-s", "zoo"],
        &["query", "best_models", "-s", "zoo", "-p", "k=many"],
        &["describe", "state", "-s", "zoo"],
        &["train", "typo.toml", "-s", "zoo"],
        &["train", "value.toml", "-s", "zoo"],
        &["train", "mnist.toml", "-s", "zoo"],
        &["train", "many.toml", "-s", "zoo"],
        &["train", "many.toml", "-s", "zoo", "--dry-run"],
        &["train", "mnist_sed", "-s", "zoo"],
        &["train", "resnet", "-s", "zoo"],
        &["train", "digits_demo", "-s", "zoo", "--shard", "5/4"],
        &["train", "digits_demo", "-s", "zoo", "--shard", "auto"],
        &["train", "digits_demo", "-s", "zoo", "--time-limit", "90"],
        &["train", "digits_demo", "-s", "foreign"],
        &["copy", "zoo", "zoo", "--weights", "plain"],
    ];
    insta::assert_snapshot!(transcripts(folder.path(), &commands));
}

#[test]
fn results_go_to_files_whole_or_not_at_all() {
    use arrow::array::RecordBatch;
    use arrow::ipc::reader::FileReader;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    let folder = site();
    let query = "SELECT * FROM vectors_cnn_s ORDER BY model_id, epoch";
    let read = |name: &str| std::fs::File::open(folder.path().join(name)).unwrap();
    for name in ["result.parquet", "result.arrow"] {
        let run = transcript(folder.path(), &["sql", "-s", "zoo", "-o", name, query]);
        assert!(run.ends_with("epoch\"\n\n"), "{run}");
    }
    let rows = |batches: Vec<RecordBatch>| {
        arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
    };
    let parquet = ParquetRecordBatchReaderBuilder::try_new(read("result.parquet")).unwrap();
    let parquet = rows(parquet.build().unwrap().map(|batch| batch.unwrap()).collect());
    let ipc = FileReader::try_new(read("result.arrow"), None).unwrap();
    let ipc = rows(ipc.map(|batch| batch.unwrap()).collect());
    assert_eq!(parquet, ipc);
    assert_eq!(parquet.num_rows(), 16);

    // A query that fails half way leaves the older result.
    let failing =
        "SELECT vector_dot(weights, CASE WHEN epoch = 3 THEN [1.0] END) FROM vectors_cnn_s";
    let run = transcript(folder.path(), &["sql", "-s", "zoo", "-o", "result.parquet", failing]);
    assert!(run.contains("vectors have 2464 and 1 values"), "{run}");
    let kept = ParquetRecordBatchReaderBuilder::try_new(read("result.parquet")).unwrap();
    assert_eq!(kept.metadata().file_metadata().num_rows(), 16);
    let names = std::fs::read_dir(folder.path()).unwrap();
    assert_eq!(names.count(), 3, "the store and two results: no partial file stays");
}

#[test]
fn a_broken_pipe_is_no_failure() {
    let folder = site();
    for format in ["csv", "ndjson", "table", "json", "arrow", "parquet", "markdown"] {
        let query = "SELECT value FROM generate_series(1, 300000)";
        let mut child = zoolake(folder.path(), &["sql", "-s", "zoo", "--format", format, query])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut first).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && stderr.is_empty(), "{format}: {stderr}");
    }
}

#[test]
fn a_query_comes_from_a_file_or_standard_input_too() {
    let folder = site();
    std::fs::write(folder.path().join("q.sql"), "SELECT count(*) AS n FROM models").unwrap();
    let from_file =
        zoolake(folder.path(), &["sql", "-s", "zoo", "--format", "csv", "-f", "q.sql"]).output();
    assert_eq!(from_file.unwrap().stdout, b"n\n4\n");
    let stdin = std::fs::File::open(folder.path().join("q.sql")).unwrap();
    let from_stdin =
        zoolake(folder.path(), &["sql", "-s", "zoo", "--format", "csv", "-"]).stdin(stdin).output();
    assert_eq!(from_stdin.unwrap().stdout, b"n\n4\n");
}

#[test]
fn devices_and_engines() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("zoo.toml"), small_spec("zoo", 3)).unwrap();
    let run = |arguments: &[&str]| {
        transcript(folder.path(), &[&["train", "zoo.toml", "-s", "zoo"], arguments].concat())
    };
    let unknown = run(&["--device", "gpu"]);
    assert!(unknown.contains("expected `cpu` or a GPU such as `cuda:0`"), "{unknown}");
    assert!(unknown.ends_with("[exit 2]\n\n"), "{unknown}");
    let missing = run(&["--device", "cuda:4096"]);
    assert!(missing.contains("cannot use `cuda:4096`"), "{missing}");
    assert!(missing.ends_with("[exit 1]\n\n"), "{missing}");
    assert!(!folder.path().join("zoo").exists(), "no store without an engine");
    let planned = run(&["--engine", "population", "--population", "2", "--dry-run"]);
    assert!(planned.contains("missing models, 1 at a time"), "{planned}");
    let none = run(&["--limit", "1", "--shard", "2/2"]);
    assert!(none.contains("nothing to train: this part of zoo `zoo` has no models"), "{none}");
    let residual = small_spec("zoo", 3).replace("cnn_s", "resnet18_c10");
    std::fs::write(folder.path().join("residual.toml"), residual).unwrap();
    let residual = ["train", "residual.toml", "-s", "zoo", "--engine", "kernel"];
    let unknown = transcript(folder.path(), &residual);
    assert!(unknown.contains("`kernel` cannot train architecture `resnet18_c10`"), "{unknown}");
    assert!(!folder.path().join("zoo").exists(), "nor without models, nor if it cannot train them");
    let trained = run(&["--engine", "population", "--population", "2"]);
    assert!(trained.contains("in populations, 1 at a time"), "{trained}");
    assert!(trained.contains("trained and stored 3 of 3 models"), "{trained}");
}
