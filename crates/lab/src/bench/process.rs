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
