//! `--shard`: which part of a zoo this process trains.

use std::str::FromStr;

use super::env_vars::{
    JOB_COMPLETION_INDEX, SLURM_ARRAY_TASK_COUNT, SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_MIN,
    SLURM_ARRAY_TASK_STEP,
};
use crate::error::{Error, Result};
use crate::zoo::Shard;

const ALLOWED: &str = "`I/N` such as `2/8`, `auto`, or `auto/N`";

/// The part as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ShardArgument {
    /// `I/N`.
    Given(Shard),
    /// `auto` or `auto/N`: what the cluster says, of N parts.
    Auto(Option<u32>),
}

impl FromStr for ShardArgument {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| {
            text.parse::<u32>()
                .map_err(|_| Error::invalid(format!("`{text}` is no number: expected {ALLOWED}")))
        };
        match text.split_once('/') {
            None if text == "auto" => Ok(Self::Auto(None)),
            Some(("auto", count)) => {
                let count = number(count)?;
                Shard::new(1, count).map(|_| Self::Auto(Some(count)))
            }
            Some((part, count)) => Shard::new(number(part)?, number(count)?).map(Self::Given),
            None => Err(Error::invalid(format!("expected {ALLOWED}"))),
        }
    }
}

impl ShardArgument {
    /// The part, asking the environment if need be.
    pub(super) fn resolve(self) -> Result<Shard> {
        match self {
            Self::Given(shard) => Ok(shard),
            Self::Auto(count) => auto(count, |name| std::env::var(name).ok()),
        }
    }
}

/// The part of this task, of `count` parts if that is said.
fn auto(count: Option<u32>, variable: impl Fn(&str) -> Option<String>) -> Result<Shard> {
    let number = |name: &str| match variable(name) {
        None => Ok(None),
        Some(text) => text.parse::<u32>().map(Some).map_err(|_| {
            Error::invalid(format!("environment variable {name} is `{text}`: expected a number"))
        }),
    };
    if let Some(id) = number(SLURM_ARRAY_TASK_ID)? {
        let tasks = number(SLURM_ARRAY_TASK_COUNT)?;
        let (Some(tasks), Some(min)) = (tasks, number(SLURM_ARRAY_TASK_MIN)?) else {
            return Err(Error::invalid(format!(
                "{SLURM_ARRAY_TASK_ID} is set, but not {SLURM_ARRAY_TASK_COUNT} and \
                 {SLURM_ARRAY_TASK_MIN}"
            ))
            .with_hint("say `--shard I/N`"));
        };
        if let Some(count) = count.filter(|count| *count != tasks) {
            return Err(Error::invalid(format!(
                "the job array has `{tasks}` tasks, which `--shard auto/{count}` contradicts"
            )));
        }
        let step = number(SLURM_ARRAY_TASK_STEP)?.unwrap_or(1).max(1);
        let place = id.checked_sub(min).filter(|from_min| from_min.is_multiple_of(step));
        return match place.map(|from_min| from_min / step).filter(|place| *place < tasks) {
            Some(place) => Shard::new(place + 1, tasks),
            None => Err(Error::invalid(format!(
                "task `{id}` of a job array of {tasks} from {min} in steps of {step}: the array \
                 has gaps"
            ))
            .with_hint("submit a range of tasks such as `--array=1-8`, or say `--shard I/N`")),
        };
    }
    if let Some(index) = number(JOB_COMPLETION_INDEX)? {
        return match count {
            Some(count) => Shard::new(index.saturating_add(1), count)
                .map_err(|error| error.context(format!("{JOB_COMPLETION_INDEX} is `{index}`"))),
            None => Err(Error::invalid(format!(
                "{JOB_COMPLETION_INDEX} says which shard this is, but not of how many"
            ))
            .with_hint("say `--shard auto/N`, N being `completions` of the job")),
        };
    }
    Err(Error::invalid(format!(
        "`--shard auto` outside a cluster: neither {SLURM_ARRAY_TASK_ID} (a task of a SLURM job \
         array) nor {JOB_COMPLETION_INDEX} (a pod of a Kubernetes indexed job) is set"
    ))
    .with_hint("say which part of how many: `--shard 1/4`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part by these variables, or the error.
    fn shard(count: Option<u32>, variables: &[(&str, &str)]) -> String {
        let variable = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        auto(count, variable).map_or_else(|error| error.to_string(), |shard| shard.to_string())
    }

    /// A task of a SLURM job array.
    fn slurm(count: Option<u32>, [id, tasks, min, step]: [&str; 4]) -> String {
        shard(
            count,
            &[
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_COUNT", tasks),
                ("SLURM_ARRAY_TASK_MIN", min),
                ("SLURM_ARRAY_TASK_STEP", step),
            ],
        )
    }

    #[test]
    fn the_argument_is_a_part_of_so_many_or_auto() {
        let parse = |text: &str| text.parse::<ShardArgument>().map_err(|error| error.to_string());
        assert_eq!(parse("2/8"), Ok(ShardArgument::Given(Shard::new(2, 8).unwrap())));
        assert_eq!(parse("auto"), Ok(ShardArgument::Auto(None)));
        assert_eq!(parse("auto/8"), Ok(ShardArgument::Auto(Some(8))));
        for (text, message) in [
            ("5/4", "shard `5` of `4`: expected a number from 1 to 4"),
            ("0/4", "shard `0` of `4`: expected a number from 1 to 4"),
            ("auto/0", "`0` shards: expected a number from 1 to 1000000"),
            ("2", "expected `I/N` such as `2/8`, `auto`, or `auto/N`"),
            ("-1/4", "`-1` is no number: expected `I/N` such as `2/8`, `auto`, or `auto/N`"),
            ("1/2/3", "`2/3` is no number: expected `I/N` such as `2/8`, `auto`, or `auto/N`"),
        ] {
            assert_eq!(parse(text), Err(message.to_owned()));
        }
    }

    #[test]
    fn a_slurm_array_may_begin_and_step_as_it_likes() {
        assert_eq!(slurm(None, ["0", "4", "0", "1"]), "1/4");
        assert_eq!(slurm(None, ["3", "4", "0", "1"]), "4/4");
        assert_eq!(slurm(None, ["1", "4", "1", "1"]), "1/4");
        assert_eq!(slurm(None, ["4", "4", "1", "1"]), "4/4");
        assert_eq!(slurm(None, ["15", "3", "5", "5"]), "3/3");
        assert_eq!(slurm(Some(4), ["4", "4", "1", "1"]), "4/4");
        assert_eq!(
            slurm(Some(8), ["4", "4", "1", "1"]),
            "the job array has `4` tasks, which `--shard auto/8` contradicts"
        );
        assert_eq!(
            slurm(None, ["7", "3", "1", "1"]),
            "task `7` of a job array of 3 from 1 in steps of 1: the array has gaps"
        );
        assert_eq!(
            slurm(None, ["one", "3", "1", "1"]),
            "environment variable SLURM_ARRAY_TASK_ID is `one`: expected a number"
        );
    }

    #[test]
    fn a_kubernetes_job_says_which_and_the_user_of_how_many() {
        let pod = |count, index| shard(count, &[("JOB_COMPLETION_INDEX", index)]);
        assert_eq!(pod(Some(4), "0"), "1/4");
        assert_eq!(pod(Some(4), "3"), "4/4");
        assert_eq!(
            pod(Some(4), "4"),
            "JOB_COMPLETION_INDEX is `4`: shard `5` of `4`: expected a number from 1 to 4"
        );
        assert_eq!(
            pod(None, "0"),
            "JOB_COMPLETION_INDEX says which shard this is, but not of how many"
        );
    }

    #[test]
    fn outside_a_cluster_the_variables_are_named() {
        let message = shard(None, &[]);
        assert!(message.contains("SLURM_ARRAY_TASK_ID"), "{message}");
        assert!(message.contains("JOB_COMPLETION_INDEX"), "{message}");
    }
}
