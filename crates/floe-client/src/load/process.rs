//! CPU time and memory of a process, from `/proc`; absent where there is none.

use std::fs;

/// Processor time of a process with all of its threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// User and system time in microseconds, in steps of the kernel's tick (10 ms).
    pub(crate) micros: u64,
}

impl CpuTime {
    /// Reads the time of `pid`.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Self::parse(&stat, rustix::param::clock_ticks_per_second())
    }

    /// Reads the time of this process, to the nanosecond.
    pub(crate) fn own() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Self {
            micros: time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000,
        }
    }

    fn parse(stat: &str, ticks_per_second: u64) -> Option<Self> {
        // The program's name stands in parentheses and may hold spaces and parentheses itself.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Self {
            micros: (user + system) * 1_000_000 / ticks_per_second,
        })
    }
}

/// Memory that a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// Resident bytes, shared pages counted whole.
    pub rss_bytes: u64,
    /// Resident bytes, each shared page divided by those who share it.
    pub pss_bytes: u64,
}

impl Memory {
    /// Reads the memory of `pid`.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        Self::parse(&rollup)
    }

    fn parse(rollup: &str) -> Option<Self> {
        let field = |name: &str| -> Option<u64> {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kib * 1024)
        };
        Some(Self {
            rss_bytes: field("Rss:")?,
            pss_bytes: field("Pss:")?,
        })
    }
}

/// Lets this process open as many connections as the system allows it; failure shows later.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let _ = setrlimit(Resource::Nofile, raised);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_parentheses() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 8 0 1 2 3";
        assert_eq!(
            CpuTime::parse(stat, 100),
            Some(CpuTime { micros: 3_000_000 })
        );
        assert_eq!(CpuTime::parse("7 (a S 1", 100), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let rollup = "00400000-7fff ---p 0 00:00 0  [rollup]\nRss:    2048 kB\nPss:    1024 kB\nPss_Dirty:  512 kB\n";
        assert_eq!(
            Memory::parse(rollup),
            Some(Memory {
                rss_bytes: 2 << 20,
                pss_bytes: 1 << 20,
            })
        );
        assert_eq!(Memory::parse("Rss: 3 kB\n"), None);
    }

    #[test]
    fn this_process_has_used_some_time() {
        assert!(CpuTime::own().micros > 0);
    }
}
