//! A copy of a running server's data, made as `pg_basebackup` makes it: packages with a server alone do not have that.
//! The steps: <https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP>.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::Path;

use anyhow::Context;
use tokio_postgres::Client;

use super::PrivatePostgres;
use crate::databases::connect;

/// What a copy must not have, or need not: the lock of the server, and what it makes anew.
const LEFT_OUT: [&str; 6] =
    ["postmaster.pid", "postmaster.opts", "pg_replslot", "pg_dynshmem", "pg_stat_tmp", "pg_subtrans"];

/// Copies the data of `primary` into a directory of that account, which becomes a streaming replica when it is started.
pub(super) async fn base_backup(
    primary: &PrivatePostgres,
    into: &Path,
    account: Option<(u32, u32)>,
) -> anyhow::Result<()> {
    let client = connect(&primary.url()).await?;
    // From version 15 on both functions have other names.
    let is_renamed = major(&client).await? >= 15;
    let (start, stop) = if is_renamed {
        ("SELECT pg_backup_start('replica', true)", "SELECT labelfile FROM pg_backup_stop(false)")
    } else {
        ("SELECT pg_start_backup('replica', true, false)", "SELECT labelfile FROM pg_stop_backup(false, false)")
    };
    client.batch_execute(start).await.context("beginning a base backup")?;
    let copied = copy(&primary.data(), into, account, true);
    let label: String = client.query_one(stop, &[]).await.context("ending a base backup")?.get(0);
    copied?;
    for left_out in LEFT_OUT.iter().skip(2) {
        directory(&into.join(left_out), account)?;
    }
    file(&into.join("backup_label"), &label, account)?;
    file(&into.join("standby.signal"), "", account)?;
    let port = primary.port;
    let origin = format!("primary_conninfo = 'host=127.0.0.1 port={port} user=postgres'\n");
    file(&into.join("postgresql.auto.conf"), &origin, account)
}

/// The server's major version.
async fn major(client: &Client) -> anyhow::Result<i32> {
    Ok(client.query_one("SELECT current_setting('server_version_num')::int / 10000", &[]).await?.get(0))
}

/// Copies a directory whose files may vanish meanwhile: what a backup needs of them is in the log.
fn copy(from: &Path, into: &Path, account: Option<(u32, u32)>, is_top: bool) -> anyhow::Result<()> {
    directory(into, account)?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if is_top && LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        let (path, target) = (entry.path(), into.join(&name));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            copy(&path, &target, account, false)?;
            continue;
        }
        match fs::copy(&path, &target).and_then(|_| own(&target, account)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("copying {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn directory(path: &Path, account: Option<(u32, u32)>) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().mode(0o700).create(path).and_then(|()| own(path, account));
    made.with_context(|| format!("creating {}", path.display()))
}

fn file(path: &Path, text: &str, account: Option<(u32, u32)>) -> anyhow::Result<()> {
    fs::write(path, text).and_then(|()| own(path, account)).with_context(|| format!("writing {}", path.display()))
}

fn own(path: &Path, account: Option<(u32, u32)>) -> std::io::Result<()> {
    account.map_or(Ok(()), |(user, group)| chown(path, Some(user), Some(group)))
}
