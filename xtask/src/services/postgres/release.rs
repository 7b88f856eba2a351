//! Which PostgreSQL a private server is: the machine's own, or a certain version that npm has.

use clap::ValueEnum;

use super::super::Service;
use super::Postgres;
use crate::workspace::Workspace;

/// A PostgreSQL of this machine, or of a certain major version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Release {
    /// The newest that is installed on this machine, or Debian's.
    #[value(skip)]
    Installed,
    #[value(name = "14")]
    V14,
    #[value(name = "15")]
    V15,
    #[value(name = "16")]
    V16,
    #[value(name = "17")]
    V17,
    #[value(name = "18")]
    V18,
}

/// What is different from one version to the other.
#[derive(Debug)]
pub(super) struct Packaged {
    /// Name of the server for people.
    pub(super) name: &'static str,
    /// Its directory in `.lockstep`, its port, and its log.
    pub(super) key: &'static [&'static str; 1],
    /// Version of the npm packages.
    pub(super) version: &'static str,
}

impl Release {
    /// What npm has of it; `None` for the machine's own.
    pub(super) const fn packaged(self) -> Option<Packaged> {
        let (name, key, version) = match self {
            Self::Installed => return None,
            Self::V14 => ("PostgreSQL 14", &["postgres-14"], "14.23.0-beta.17"),
            Self::V15 => ("PostgreSQL 15", &["postgres-15"], "15.18.0-beta.17"),
            Self::V16 => ("PostgreSQL 16", &["postgres-16"], "16.14.0-beta.17"),
            Self::V17 => ("PostgreSQL 17", &["postgres-17"], "17.10.0-beta.17"),
            Self::V18 => ("PostgreSQL 18", &["postgres-18"], "18.4.0-beta.17"),
        };
        Some(Packaged { name, key, version })
    }

    /// Name of its directory in `.lockstep`, of its port, and of its log.
    pub(super) const fn key(self) -> &'static str {
        self.port_names()[0]
    }

    pub(super) const fn port_names(self) -> &'static [&'static str] {
        match self.packaged() {
            Some(packaged) => packaged.key,
            None => &["postgres"],
        }
    }

    /// What tells this server's processes from those of others. None is a part of another.
    pub(super) fn instance(self, workspace: &Workspace) -> String {
        match self.packaged() {
            Some(packaged) => workspace.instance.replacen("lockstep", &format!("lockstep-{}", packaged.key[0]), 1),
            None => workspace.instance.clone(),
        }
    }
}

/// Servers of certain versions that this checkout has had: they stay until `down --purge`.
pub(in super::super) fn earlier(workspace: &Workspace) -> impl Iterator<Item = Box<dyn Service + '_>> {
    let packaged = Release::value_variants().iter().filter(|release| release.packaged().is_some());
    let had = packaged.filter(|release| workspace.directory.join(release.key()).exists());
    had.map(|release| -> Box<dyn Service + '_> { Box::new(Postgres { workspace, release: *release }) })
}
