//! Processes that are killed, stopped or racing, with the real program on a real
//! disk: the store opens, verifies and resumes.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;
use zoolake::store::{CloudOptions, Location, Snapshot, Store};

use crate::fixture::small_spec;

struct Site {
    folder: TempDir,
    spec: PathBuf,
}

impl Site {
    fn new(models: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().join("zoo.toml");
        std::fs::write(&spec, small_spec("crash", models)).unwrap();
        Self { folder, spec }
    }

    /// Models that take a while, and are treated as long.
    fn of_long_models() -> Self {
        let site = Self::new(2);
        let spec = small_spec("crash", 2).replace("epochs = 1", "epochs = 8");
        std::fs::write(&site.spec, spec + "dropout = 0.1\n").unwrap();
        site
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn zoolake(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zoolake"));
        command.env("ZOOLAKE_STORE", self.store()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts training; every finished model is committed at once.
    fn train(&self) -> Child {
        self.start(&["--jobs", "1", "--commit-after", "0"])
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.zoolake().arg("train").arg(&self.spec).args(arguments).spawn().unwrap()
    }

    /// Starts training with every epoch kept on disk.
    fn train_long(&self) -> Child {
        self.start(&["--jobs", "1", "--checkpoint", "always"])
    }

    /// How many finished epochs lie in the folder of models in training.
    fn epochs_kept(&self) -> usize {
        let desks = std::fs::read_dir(self.store().join("work"));
        let files = desks.into_iter().flatten().flatten().map(|desk| {
            let files = std::fs::read_dir(desk.path()).into_iter().flatten().flatten();
            files.filter(|file| file.path().extension().is_some_and(|e| e == "memory")).count()
        });
        files.sum()
    }

    /// The rows of a query as CSV.
    fn rows(&self, query: &str) -> String {
        let output = self.zoolake().args(["sql", "--format", "csv", query]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The value of a query with one row and one column.
    fn value(&self, query: &str) -> String {
        self.rows(query).lines().nth(1).unwrap_or_default().to_owned()
    }

    /// What is in the store, read from within this process.
    fn snapshot(&self) -> Snapshot {
        let place = self.store();
        let location = Location::new(place.to_str().unwrap(), &CloudOptions::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = runtime.block_on(Store::open_or_create(location)).unwrap();
        runtime.block_on(store.snapshot()).unwrap()
    }

    fn verify(&self) {
        let output = self.zoolake().arg("verify").output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }

    /// The log entry of commit `version`.
    fn entry(&self, version: u64) -> PathBuf {
        self.store().join(format!("log/{version:020}.json"))
    }

    /// Waits until commit `version` is there.
    fn wait_for_commit(&self, version: u64) {
        let entry = self.entry(version);
        wait_until(|| entry.exists());
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "waited too long");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// All metrics of all states.
const METRICS: &str = "SELECT model_id, epoch, train_loss, train_acc, val_loss, val_acc, \
                       test_loss, test_acc FROM epochs ORDER BY model_id, epoch";

/// All weights of all states, summed up in two numbers each.
const FINGERPRINT: &str = "SELECT model_id, epoch, vector_mean(weights), vector_l2_norm(weights) \
                           FROM vectors_cnn_s ORDER BY model_id, epoch";

#[test]
fn a_killed_process_leaves_a_store_that_verifies_and_resumes() {
    let (killed, whole) = (Site::new(6), Site::new(6));
    // Kill it ever later: while it creates the store, trains, and commits.
    for round in 0..8_u64 {
        let mut child = killed.train();
        if round % 2 == 1 {
            killed.wait_for_commit(round.div_ceil(2));
        }
        std::thread::sleep(Duration::from_millis(7 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        if killed.store().join("zoolake.json").exists() {
            killed.verify();
        }
    }
    for site in [&killed, &whole] {
        let output = site.train().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        site.verify();
        assert_eq!(site.value("SELECT count(*) FROM models"), "6");
    }
    assert_eq!(killed.rows(FINGERPRINT), whole.rows(FINGERPRINT), "resumed as if nothing had been");
}

/// Eight processes train one zoo, in pairs that race for the same quarter of it. Four
/// are killed as they start, four when something has been committed; round after
/// round. Then one process does the rest.
#[expect(clippy::print_stdout, reason = "what was measured, with --nocapture")]
fn rounds_of_kill(rounds: usize) {
    let models = 4 * rounds;
    let (killed, whole) = (Site::new(models), Site::new(models));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut before = Snapshot::default();
    for round in 0..rounds {
        let part = |writer| format!("{}/4", writer % 4 + 1);
        let mut writers: Vec<Child> = (0..8)
            .map(|writer| {
                let part = part(writer);
                killed.start(&["--jobs", "1", "--commit-after", "0", "--shard", &part])
            })
            .collect();
        for number in 0..8 {
            if number == 4 {
                let entry = killed.entry(before.version() + 1);
                let ended = |writer: &mut Child| writer.try_wait().unwrap().is_some();
                wait_until(|| entry.exists() || writers.iter_mut().all(ended));
            }
            std::thread::sleep(Duration::from_millis(rng.random_range(0..20)));
            writers[number].kill().unwrap();
        }
        for writer in writers {
            let output = writer.wait_with_output().unwrap();
            assert!(output.status.code().is_none_or(|code| code == 0), "{}", text(&output));
        }
        let after = killed.snapshot();
        assert!(after.history().starts_with(before.history()), "round {round} changed the past");
        let files = |snapshot: &Snapshot| -> BTreeSet<String> {
            snapshot.files().map(|file| file.path.clone()).collect()
        };
        assert!(files(&before).is_subset(&files(&after)), "round {round} lost a file");
        before = after;
        if round % 10 == 9 {
            killed.verify();
        }
    }
    let committed = before.num_models();
    assert!(committed >= rounds, "{committed} models in {rounds} rounds");
    for site in [&killed, &whole] {
        let output = site.start(&[]).wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        site.verify();
        assert_eq!(site.value("SELECT count(*) FROM models"), models.to_string());
    }
    assert!(killed.rows(FINGERPRINT) == whole.rows(FINGERPRINT), "as if nothing had been");
    let versions = before.version();
    println!("{rounds} rounds: {committed} models in {versions} commits, and the rest of {models}");
}

#[test]
fn eight_writers_that_are_killed_lose_and_duplicate_nothing() {
    rounds_of_kill(20);
}

#[test]
#[ignore = "takes minutes: 200 rounds"]
fn eight_writers_that_are_killed_two_hundred_times_lose_and_duplicate_nothing() {
    rounds_of_kill(200);
}

#[test]
fn a_long_model_whose_process_is_killed_goes_on_from_its_last_epoch() {
    let (killed, whole) = (Site::of_long_models(), Site::of_long_models());
    let mut resumed = 0;
    // Kill it ever later: in the first epochs, in later ones, while it commits.
    for round in 0..12_u64 {
        let mut child = killed.train_long();
        wait_until(|| killed.epochs_kept() > 0 || child.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(40 * round));
        child.kill().unwrap();
        resumed += usize::from(text(&child.wait_with_output().unwrap()).contains("goes on after"));
        killed.verify();
    }
    assert!(resumed > 0);
    for site in [&killed, &whole] {
        let output = site.train_long().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        site.verify();
        assert_eq!(site.value("SELECT count(*) FROM models"), "2");
        let left = std::fs::read_dir(site.store().join("work")).unwrap().count();
        assert_eq!(left, 0, "what is committed is cleared");
    }
    for query in [FINGERPRINT, METRICS] {
        assert_eq!(killed.rows(query), whole.rows(query), "as if nothing had been");
    }
}

#[cfg(unix)]
#[test]
fn sigterm_in_a_long_model_loses_an_epoch_at_most() {
    let site = Site::of_long_models();
    let child = site.train_long();
    wait_until(|| site.epochs_kept() > 0);
    let kill = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output));
    let output = site.train_long().wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("`crash/00000` goes on after epoch"), "{}", text(&output));
    site.verify();
}

/// A pipe that nobody writes to keeps a process from reading its images to the end.
#[cfg(target_os = "linux")]
#[test]
fn sigterm_before_training_is_an_interruption_too() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().canonicalize().unwrap().join("train-images-idx3-ubyte");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for name in ["train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let _writer = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_zoolake"));
    command.args(["train", "mnist_seed", "--store", "store", "--data", "."]);
    let child = command.current_dir(&folder).stderr(Stdio::piped()).spawn().unwrap();
    let opened = format!("/proc/{}/fd", child.id());
    wait_until(|| {
        let mut files = std::fs::read_dir(&opened).unwrap().flatten();
        files.any(|file| std::fs::read_link(file.path()).is_ok_and(|place| place == pipe))
    });
    let kill = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output));
    assert!(text(&output).contains("interrupted before all models were trained"));
    assert!(!folder.path().join("store").exists());
}

#[test]
fn two_processes_lose_and_duplicate_nothing() {
    let site = Site::new(5);
    let racers = [site.train(), site.train(), site.train()];
    for racer in racers {
        let output = racer.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    site.verify();
    assert_eq!(site.value("SELECT count(*) FROM models"), "5");
    assert_eq!(site.value("SELECT count(*) FROM weights_cnn_s"), "10");
}

#[cfg(unix)]
#[test]
fn sigterm_and_ctrl_c_keep_what_is_finished_and_exit_with_75() {
    for signal in ["TERM", "INT"] {
        let site = Site::new(400);
        let child = site.train();
        site.wait_for_commit(1);
        let kill = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(75), "{}", text(&output));
        assert!(text(&output).contains("hint: run the same command again to go on"));
        site.verify();
        let models: usize = site.value("SELECT count(*) FROM models").parse().unwrap();
        assert!((1..400).contains(&models), "{models}");
    }
}

#[test]
fn a_finished_zoo_is_not_trained_again() {
    let site = Site::new(1);
    for _ in 0..2 {
        let output = site.train().wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    assert_eq!(site.value("SELECT max(version) FROM snapshots"), "1");
}

#[cfg(unix)]
#[test]
fn an_interrupted_result_leaves_no_file() {
    let site = Site::new(1);
    assert!(site.train().wait_with_output().unwrap().status.success());
    let result = site.folder.path().join("result.csv");
    let endless = "SELECT a.value FROM generate_series(1, 100000) a, generate_series(1, 100000) b";
    let child = site.zoolake().args(["sql", endless, "-o"]).arg(&result).spawn().unwrap();
    let partial = site.folder.path().join(format!("result.csv.{}.partial", child.id()));
    wait_until(|| partial.metadata().is_ok_and(|metadata| metadata.len() > 0));
    let kill = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", text(&output));
    assert!(!partial.exists() && !result.exists());
}

/// A file system of a few pages, which goes with the guard.
#[cfg(target_os = "linux")]
struct SmallDisk(TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    /// `None` where this process may not mount; then the test says nothing, so
    /// in CI that is a failure.
    fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        let mounted = disk.command("mount", &["-t", "tmpfs", "-o", "size=96k", "tmpfs"]);
        assert!(mounted || std::env::var_os("CI").is_none(), "CI must be able to mount");
        mounted.then_some(disk)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        let status = command.args(arguments).arg(self.0.path()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.command("umount", &[]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_or_read_only_disk_loses_nothing_that_was_committed() {
    let Some(disk) = SmallDisk::mount() else { return };
    let site = Site::new(40);
    let store = disk.0.path().join("store");
    let run = |arguments: &[&str]| {
        site.zoolake().args(arguments).env("ZOOLAKE_STORE", &store).output().unwrap()
    };
    let train = ["train", site.spec.to_str().unwrap(), "--jobs", "1", "--commit-after", "0"];
    for _ in 0..2 {
        let full = run(&train);
        assert_eq!(full.status.code(), Some(1), "{}", text(&full));
        assert!(text(&full).contains("hint: free space there"), "{}", text(&full));
        let verified = text(&run(&["verify"]));
        assert!(verified.starts_with("sound: "), "{verified}");
        assert!(!verified.contains("belong to no commit"), "failures clean up: {verified}");
    }
    assert!(disk.command("mount", &["-o", "remount,ro"]));
    let refused = run(&train);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("hint: make the place writable"), "{}", text(&refused));
    let read = run(&["sql", "--format", "csv", "SELECT count(*) > 0 AS some FROM models"]);
    assert_eq!(text(&read), "some\ntrue\n");
}
