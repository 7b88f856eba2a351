//! The ClickHouse engine as a library, which npm has.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::npm::Package;
use crate::progress::Task;
use crate::workspace::Workspace;

/// Version of the npm packages `@chdb/lib-…`, which holds ClickHouse 26.7.2.1.
const VERSION: &str = "26.7.3-stable.1";

/// The library on Linux and on macOS.
const LIBRARIES: &[&str] = &["libchdb.so", "libchdb.dylib"];

const REMEDY: &str = "install ClickHouse so that `clickhouse` is on PATH, or set LOCKSTEP_CLICKHOUSE_URL";

/// The library, if it was fetched completely.
pub(super) fn installed(workspace: &Workspace) -> Option<PathBuf> {
    let directory = package().ok()?.installed(workspace)?;
    LIBRARIES.iter().map(|name| directory.join(name)).find(|library| library.is_file())
}

/// Makes sure that the library is there.
pub(super) fn fetch(workspace: &Workspace, task: &Task) -> Result<()> {
    package()?.fetch(workspace, task).map(drop)
}

fn package() -> Result<Package> {
    Ok(Package {
        name: format!("@chdb/lib-{}", platform()?),
        version: VERSION,
        what: "the ClickHouse library",
        proofs: LIBRARIES,
        packed_bytes: 178_000_000,
        unpacked_bytes: 569_000_000,
        remedy: REMEDY,
    })
}

/// The platform as the npm packages name it.
fn platform() -> Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("linux-x64-gnu"),
        ("linux", "aarch64") => Ok("linux-arm64-gnu"),
        ("macos", "aarch64") => Ok("darwin-arm64"),
        ("macos", "x86_64") => Ok("darwin-x64"),
        (system, processor) => bail!("no ClickHouse library is published for {system} on {processor}: {REMEDY}"),
    }
}
