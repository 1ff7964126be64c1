//! How much memory there is to be had.

use std::fs;

/// The memory that this process may take: what the machine has left, or what its control group
/// permits if that is less. `None` where nothing tells.
pub(crate) fn free() -> Option<u64> {
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
    fn linux_says_what_can_be_had() {
        let text = "MemTotal:       24570000 kB\nMemAvailable:   23000000 kB\n";
        assert_eq!(available(text), Some(23_000_000 * 1024));
        assert_eq!(available("MemTotal: 1 kB"), None);
        assert_eq!(cached("anon 1\nfile 42\nfile_mapped 7\n"), Some(42));
    }
}
