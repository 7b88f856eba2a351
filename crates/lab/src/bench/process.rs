//! What the system knows about a process.

use anyhow::Context;

use lockstep_testkit::installation::Program;

/// The most memory that the process ever held, in MiB (`VmHWM` of `/proc/PID/status`).
pub(super) fn peak_memory_mib(program: &Program) -> anyhow::Result<u64> {
    let id = program.id().context("the process has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).context("reading /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().context("VmHWM is no number")?;
    Ok(kib.div_ceil(1024))
}

/// Seconds of processor that these processes have used (`utime` and `stime` of `/proc/PID/stat`, in hundredths).
pub(super) fn cpu_seconds(ids: &[u32]) -> anyhow::Result<f64> {
    let mut hundredths = 0_u32;
    for id in ids {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).context("reading /proc")?;
        // The name, in parentheses, may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
        for field in fields.split_whitespace().skip(11).take(2) {
            hundredths += field.parse::<u32>().context("/proc/PID/stat has no times")?;
        }
    }
    Ok(f64::from(hundredths) / 100.0)
}
