//! The directory of the private PostgreSQL, which the account that it runs as must be able to enter.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::release::Release;
use crate::account::Account;
use crate::workspace::Workspace;

/// `.lockstep/postgres`, or `.lockstep/postgres-17` for a certain version; a link to a directory in /var/tmp where the
/// account cannot enter the checkout.
pub(super) struct Home<'a>(pub(super) &'a Workspace, pub(super) Release);

impl Home<'_> {
    /// The directory, or the one that it points to.
    pub(super) fn path(&self) -> PathBuf {
        let link = self.link();
        fs::read_link(&link).unwrap_or(link)
    }

    fn link(&self) -> PathBuf {
        self.0.directory.join(self.1.key())
    }

    /// Where the data goes when the server's account cannot enter the checkout.
    fn outside(&self) -> PathBuf {
        Path::new("/var/tmp").join(self.1.instance(self.0))
    }

    /// Creates the home, in the checkout where the server's account can reach it, else outside.
    pub(super) fn place(&self, account: Option<Account>) -> Result<()> {
        let link = self.link();
        if fs::read_link(&link).is_ok_and(|target| target != self.outside() || !target.is_dir()) {
            // The checkout was copied together with its link, or the outside directory was cleaned away.
            fs::remove_file(&link)?;
        }
        if link.is_symlink() {
            return own(&self.outside(), account);
        }
        own(&link, account)?;
        if reaches(account, &link)? {
            return Ok(());
        }
        // Nothing was ever in it: the account that would have filled it cannot reach it.
        fs::remove_dir_all(&link)?;
        own(&self.outside(), account)?;
        symlink(self.outside(), &link).with_context(|| format!("cannot create {}", link.display()))
    }

    /// Removes what lies outside of the checkout.
    pub(super) fn purge(&self) -> Result<()> {
        let outside = self.outside();
        if outside.is_dir() && fs::read_link(self.link()).is_ok_and(|target| target == outside) {
            fs::remove_dir_all(&outside).with_context(|| format!("cannot remove {}", outside.display()))?;
        }
        Ok(())
    }
}

/// Creates a private directory, or takes over a file, for the server's account.
pub(super) fn own(path: &Path, account: Option<Account>) -> Result<()> {
    let context = || format!("cannot give {} to PostgreSQL's account", path.display());
    if !path.exists() {
        fs::DirBuilder::new().mode(0o700).create(path).with_context(context)?;
    }
    let Some(account) = account else { return Ok(()) };
    let owner = path.symlink_metadata().with_context(context)?.uid();
    // Below /var/tmp anybody can create a directory of that name.
    if owner != 0 && owner != account.user {
        bail!("{} belongs to another user (id {owner}): remove it", path.display());
    }
    chown(path, Some(account.user), Some(account.group)).with_context(context)
}

/// Whether that account can write there; every directory on the way must let it through.
fn reaches(account: Option<Account>, path: &Path) -> Result<bool> {
    let mut test = Command::new("sh");
    test.args(["-c", "test -w \"$0\""]).arg(path).current_dir("/").stderr(Stdio::null());
    if let Some(account) = account {
        account.apply(&mut test);
    }
    Ok(test.status().context("cannot run sh")?.success())
}
