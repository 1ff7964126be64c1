//! A zoo trained in parts, as clusters do it: every task is a process of its own,
//! and what tells it its part is the environment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::fixture::small_spec;

/// A store to be, and a zoo of so many models.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new(models: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("zoo.toml"), small_spec("parts", models)).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command in an environment in which no scheduler is.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command.env("ZOOLAKE_STORE", self.path("store"));
        command.env_remove("JOB_COMPLETION_INDEX");
        for name in ["ID", "COUNT", "MIN", "STEP"] {
            command.env_remove(format!("SLURM_ARRAY_TASK_{name}"));
        }
        command
    }

    fn train(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_zoolake"));
        command.args(["train", "zoo.toml", "--jobs", "1"]).args(arguments);
        command
    }

    /// The template, as one task of an array from `min` of so many tasks. In place
    /// of SLURM there are `srun`, which runs its command, and `scontrol`, which
    /// writes its arguments into a file.
    fn sbatch(&self, task: usize, min: usize, tasks: usize) -> Command {
        let bin = self.path("bin");
        std::fs::create_dir_all(&bin).unwrap();
        script(&bin.join("srun"), "[[ $1 == --cpus-per-task=* ]] && shift; exec \"$@\"");
        script(&bin.join("scontrol"), "echo \"$@\" >>scontrol.txt");
        script(&bin.join("zoolake"), &format!("exec {} \"$@\"", env!("CARGO_BIN_EXE_zoolake")));
        let path = std::env::var("PATH").unwrap();
        let mut command = self.command("bash");
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cluster/slurm.sbatch"))
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("ZOO", "zoo.toml")
            .env("SLURM_CPUS_PER_TASK", "1")
            .env("SLURM_ARRAY_JOB_ID", "77")
            .env("SLURM_ARRAY_TASK_ID", task.to_string())
            .env("SLURM_ARRAY_TASK_MIN", min.to_string())
            .env("SLURM_ARRAY_TASK_COUNT", tasks.to_string())
            .env("SLURM_ARRAY_TASK_STEP", "1");
        command
    }

    /// Names of the stored models, in order.
    fn models(&self) -> Vec<String> {
        let query = "SELECT name FROM models ORDER BY name";
        let mut command = self.command(env!("CARGO_BIN_EXE_zoolake"));
        let output = command.args(["sql", "--format", "csv", query]).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        String::from_utf8(output.stdout).unwrap().lines().skip(1).map(str::to_owned).collect()
    }
}

fn script(path: &Path, body: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, format!("#!/usr/bin/env bash\n{body}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// How many models a finished process trained, none of which another one had.
fn trained(output: &Output) -> usize {
    let text = errors(output);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("by another writer"), "{text}");
    let (_, counts) = text.split_once("trained and stored ").unwrap();
    counts.split_once(' ').unwrap().0.parse().unwrap()
}

fn all(models: usize) -> Vec<String> {
    (0..models).map(|index| format!("parts/{index:05}")).collect()
}

#[test]
fn two_shards_are_disjoint_and_together_complete() {
    let site = Site::new(7);
    let first = site.train(&["--shard", "1/2"]).output().unwrap();
    let (before, in_first) = (site.models(), trained(&first));
    assert_eq!(before.len(), in_first);
    // Its models are its own, whatever the store has by now.
    let again = errors(&site.train(&["--shard", "1/2"]).output().unwrap());
    assert!(again.starts_with(&format!("nothing to train: `{}`", site.path("store").display())));
    let second = site.train(&["--shard", "2/2"]).output().unwrap();
    assert_eq!(in_first + trained(&second), 7);
    assert_eq!(site.models(), all(7));
}

#[test]
fn pods_of_an_indexed_job_train_at_the_same_time() {
    let site = Site::new(6);
    let pods: Vec<_> = (0..3)
        .map(|index: usize| {
            site.train(&["--shard", "auto/3"])
                .env("JOB_COMPLETION_INDEX", index.to_string())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let counts: Vec<usize> =
        pods.into_iter().map(|pod| trained(&pod.wait_with_output().unwrap())).collect();
    assert_eq!(counts, [2, 2, 2]);
    assert_eq!(site.models(), all(6));
}

#[test]
fn the_sbatch_template_trains_a_zoo_in_an_array_that_begins_anywhere() {
    for min in [0, 1, 5] {
        let site = Site::new(4);
        let counts: Vec<usize> = (min..min + 3)
            .map(|task| trained(&site.sbatch(task, min, 3).output().unwrap()))
            .collect();
        assert_eq!(counts.iter().sum::<usize>(), 4);
        assert!(counts.iter().all(|count| (1..=2).contains(count)), "{counts:?}");
        assert_eq!(site.models(), all(4));
        assert!(!site.path("scontrol.txt").exists(), "a finished task is not queued again");
    }
}

#[test]
fn the_sbatch_template_queues_a_task_again_that_ran_out_of_time() {
    let site = Site::new(5000);
    let begun = Instant::now();
    let output = site.sbatch(2, 1, 2).env("TIME_LIMIT", "2s").output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let text = errors(&output);
    assert_eq!(output.status.code(), Some(75), "{text}");
    assert!(text.contains("stopping at the time limit"), "{text}");
    assert!(text.ends_with("hint: run the same command again to go on\n"), "{text}");
    let queued = std::fs::read_to_string(site.path("scontrol.txt")).unwrap();
    assert_eq!(queued, "requeue 77_2\n");
}

/// What the directives of the template ask for is what its body relies on.
#[test]
fn the_sbatch_template_asks_for_what_it_uses() {
    let text = include_str!("../docs/cluster/slurm.sbatch");
    let options: HashMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#SBATCH --"))
        .map(|option| option.split_once('=').unwrap_or((option, "")))
        .collect();
    assert_eq!(options["array"], "1-16");
    assert_eq!(options["time"], "04:00:00");
    assert!(text.contains("${TIME_LIMIT:-3h55m}"), "less than `--time`");
    for option in ["requeue", "cpus-per-task", "mem", "output"] {
        assert!(options.contains_key(option), "{option}");
    }
    let mut body = text.lines().skip_while(|line| line.is_empty() || line.starts_with('#'));
    assert!(!body.any(|line| line.starts_with("#SBATCH")), "SLURM does not read them there");
}

#[test]
fn progress_in_json_is_one_object_per_line() {
    let site = Site::new(3);
    let output = site.train(&["--progress", "json"]).output().unwrap();
    assert_eq!(trained(&output), 3);
    let text = errors(&output);
    let last = text.lines().rfind(|line| line.starts_with('{')).unwrap();
    let report: serde_json::Value = serde_json::from_str(last).unwrap();
    // 1,297 training images in batches of 10 are 130 steps.
    for (key, value) in [
        ("models", 3),
        ("models_trained", 3),
        ("epochs", 3),
        ("epochs_trained", 3),
        ("steps_trained", 3 * 130),
    ] {
        assert_eq!(report[key], value, "{key}");
    }
    assert_eq!(report["zoo"], "parts");
    assert_eq!(report["eta_s"], 0.0);
    assert!(report["steps_per_s"].as_f64().unwrap() > 0.0);
}
