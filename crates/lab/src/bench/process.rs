//! What the system knows about processes.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::process::Command;

use lockstep_testkit::installation::Program;

/// Between two looks at a program that runs.
const LOOK_PAUSE: Duration = Duration::from_millis(2);

/// The most memory that the process ever held, in MiB.
pub(super) fn peak_memory_mib(program: &Program) -> anyhow::Result<u64> {
    let id = program.id().context("the process has ended")?;
    Ok(high_water_kib(id)?.div_ceil(1024))
}

/// `VmHWM` of `/proc/PID/status`.
fn high_water_kib(id: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).context("reading /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc")?;
    line.trim().trim_end_matches("kB").trim().parse().context("VmHWM is no number")
}

/// Seconds of processor that these processes have used.
pub(super) fn cpu_seconds(ids: &[u32]) -> anyhow::Result<f64> {
    let stats = ids.iter().map(|&id| stat(id));
    Ok(stats.collect::<anyhow::Result<Vec<_>>>()?.iter().map(|stat| stat.own_seconds).sum())
}

/// Seconds of processor that a process, its children that live and those that have ended have used.
pub(super) fn tree_cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let root = stat(id)?;
    // A process that ends meanwhile is its parent's from then on.
    let alive = std::fs::read_dir("/proc").context("reading /proc")?;
    let ids = alive.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children = ids.filter_map(|child| stat(child).ok()).filter(|stat| stat.parent == id);
    Ok(root.own_seconds + root.ended_seconds + children.map(|stat| stat.own_seconds + stat.ended_seconds).sum::<f64>())
}

/// The parent of a process.
pub(super) fn parent(id: u32) -> anyhow::Result<u32> {
    Ok(stat(id)?.parent)
}

/// A process with this argument, where there is one on this machine.
pub(super) fn with_argument(argument: &str) -> Option<u32> {
    let alive = std::fs::read_dir("/proc").ok()?;
    let mut ids = alive.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|id| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0).any(|one| one == argument.as_bytes())
    })
}

/// Of `/proc/PID/stat`, whose times are hundredths of seconds.
struct Stat {
    parent: u32,
    own_seconds: f64,
    /// Of children that have ended and were waited for.
    ended_seconds: f64,
}

fn stat(id: u32) -> anyhow::Result<Stat> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).context("reading /proc")?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
    let fields: Vec<_> = fields.split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok());
    let seconds = |index| Some(f64::from(number(index)?.saturating_add(number(index + 1)?)) / 100.0);
    let found = (number(1), seconds(11), seconds(13));
    let (Some(parent), Some(own_seconds), Some(ended_seconds)) = found else {
        anyhow::bail!("/proc/PID/stat has no times");
    };
    Ok(Stat { parent, own_seconds, ended_seconds })
}

/// A program that was run to its end, and what it took.
pub(super) struct Ran {
    pub(super) status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) peak_memory_mib: f64,
}

/// Runs a program to its end.
pub(super) async fn run(mut command: Command) -> anyhow::Result<Ran> {
    use std::process::Stdio;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let before = stat(std::process::id())?.ended_seconds;
    let began = Instant::now();
    let child = command.spawn().with_context(|| format!("starting {:?}", command.as_std().get_program()))?;
    let id = child.id().context("the process has ended")?;
    let ended = child.wait_with_output();
    tokio::pin!(ended);
    let mut peak_kib = 0;
    let output = loop {
        tokio::select! {
            output = &mut ended => break output?,
            // What it comes to in its last milliseconds goes unseen.
            () = tokio::time::sleep(LOOK_PAUSE) => peak_kib = high_water_kib(id).unwrap_or(0).max(peak_kib),
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "memory of a machine is far below 2^52 KiB")]
    let peak_memory_mib = peak_kib as f64 / 1024.0;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran {
        status: output.status,
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
        seconds,
        cpu_seconds: stat(std::process::id())?.ended_seconds - before,
        peak_memory_mib,
    })
}
