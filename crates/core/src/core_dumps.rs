//! Core dumps: a process that holds keys leaves none, whatever ends it.

use rustix::io;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Turns them off for this process, and for what it starts. Where the system refuses, that is said.
pub(crate) fn turn_off() {
    if let Err(error) = limit().and_then(|()| forbid()) {
        tracing::warn!(%error, "core dumps cannot be turned off: a core of this process would hold keys");
    }
}

/// Lowering a limit is anybody's right; nobody but root raises it again.
fn limit() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
}

/// The limit is for files: a core that the kernel hands to a program heeds it not, but this. Nor can others of the same user
/// look into the process any more.
#[cfg(target_os = "linux")]
fn forbid() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

#[cfg(not(target_os = "linux"))]
const fn forbid() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

    #[test]
    fn a_process_that_turned_them_off_has_neither_limit_nor_leave() {
        super::turn_off();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }
}
