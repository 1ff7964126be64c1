//! Whether an experiment fits into memory: told before it begins, since a process that takes too
//! much is ended without a word.

use std::fs;

use crate::error::{Error, Result};

/// Fails if features of `states` by `columns`, which predictors need `bytes` for, do not fit
/// into the `free` memory; `None` is not known.
pub(super) fn expect(
    set: &str,
    (states, columns): (usize, usize),
    bytes: u64,
    free: Option<u64>,
) -> Result<()> {
    let Some(free) = free.filter(|free| bytes > *free) else { return Ok(()) };
    let [bytes, free] = [bytes, free].map(|bytes| bytes as f64 / 1e9);
    let message = format!(
        "`{columns}` features `{set}` of `{states}` states need {bytes:.1} GB of memory, and \
         {free:.1} GB are free"
    );
    Err(Error::invalid(message).with_hint(
        "choose statistics of weights, such as `hsg_quintiles_v1`, or fewer states with `--epoch` \
         or `--where`",
    ))
}

/// The memory that this process may take: what the machine has left, or what its control group
/// permits if that is less. `None` where nothing tells.
pub(super) fn free() -> Option<u64> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| available(&text));
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let group = || {
        let most = number("/sys/fs/cgroup/memory.max")?;
        let taken = number("/sys/fs/cgroup/memory.current")?;
        // Files in its cache make room.
        let cached = cached(&read("/sys/fs/cgroup/memory.stat")?)?;
        Some(most.saturating_sub(taken.saturating_sub(cached)))
    };
    machine.into_iter().chain(group()).min()
}

/// `MemAvailable` of `/proc/meminfo`, which is in KiB.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// `file` of a control group's `memory.stat`.
fn cached(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("file ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_with_numbers() {
        let expect = |free| expect("weights", (1000, 11_173_962), 44_700_000_000, free);
        assert!(expect(None).is_ok() && expect(Some(44_700_000_000)).is_ok());
        let error = expect(Some(16_000_000_000)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`11173962` features `weights` of `1000` states need 44.7 GB of memory, and 16.0 GB \
             are free"
        );
        assert!(error.hint().unwrap().contains("hsg_quintiles_v1"));
    }

    #[test]
    fn linux_says_what_can_be_had() {
        let text = "MemTotal:       24570000 kB\nMemAvailable:   23000000 kB\n";
        assert_eq!(available(text), Some(23_000_000 * 1024));
        assert_eq!(available("MemTotal: 1 kB"), None);
        assert_eq!(cached("anon 1\nfile 42\nfile_mapped 7\n"), Some(42));
    }
}
