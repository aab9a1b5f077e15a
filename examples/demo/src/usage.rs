//! What a process has used, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// In `/proc` times are told in hundredths of a second, whatever the kernel's own clock: proc(5), USER_HZ.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Time on a core.
    pub cpu: Duration,
    /// Memory it holds, in KiB.
    pub resident_kib: u64,
}

impl Usage {
    /// Of the process with this id, if there is one.
    pub fn of(pid: u32) -> Option<Self> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        Some(Self { cpu: cpu(&read("stat")?)?, resident_kib: resident(&read("status")?)? })
    }
}

/// The 14th and 15th fields, in and outside of the kernel; the second is a name in brackets that may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(TICK * (ticks()? + ticks()?))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
    use super::*;

    #[test]
    fn the_kernels_tables_are_read_whatever_a_process_is_called() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 4 0 100 1000 200";
        assert_eq!(cpu(stat), Some(Duration::from_secs(2)));
        assert_eq!(resident("Name:\ta\nVmRSS:\t    2048 kB\nVmData:\t 1 kB\n"), Some(2048));
        assert_eq!((cpu("7 (a"), resident("Name:\ta\n")), (None, None));
        assert!(Usage::of(std::process::id()).unwrap().resident_kib > 0);
    }
}
