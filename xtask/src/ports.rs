//! Free ports on 127.0.0.1, remembered so that the URLs of a checkout stay the same.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::workspace::{Workspace, write_whole};

/// Where the search starts: below the ports that Linux (32768) and macOS (49152) give to outgoing connections, which
/// would take them in passing while a service is down.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// Ports by name, kept in `.lockstep/ports.json`.
#[derive(Debug)]
pub(crate) struct Ports {
    file: PathBuf,
    start: u16,
    chosen: BTreeMap<String, u16>,
}

impl Ports {
    /// What an earlier run has chosen; nothing yet if there was none.
    pub(crate) fn remembered(workspace: &Workspace) -> Self {
        let file = workspace.directory.join("ports.json");
        Self { chosen: read(&file), file, start: start(&workspace.instance) }
    }

    /// The port of that name, if one was chosen.
    pub(crate) fn get(&self, name: &str) -> Option<u16> {
        self.chosen.get(name).copied()
    }

    /// Whether nobody listens on the remembered ports of these names.
    pub(crate) fn are_free(&self, names: &[&str]) -> bool {
        names.iter().filter_map(|name| self.get(name)).all(is_free)
    }

    /// Keeps the remembered ports of these names if all are free, else chooses free ones; remembers the result.
    pub(crate) fn choose(&mut self, names: &[&str]) -> Result<()> {
        for name in names {
            if !self.get(name).is_some_and(is_free) {
                let port = self.free().context("no free port on 127.0.0.1 between 20000 and 29999")?;
                self.chosen.insert((*name).to_owned(), port);
            }
        }
        write_whole(&self.file, &serde_json::to_string_pretty(&self.chosen)?)
    }

    fn free(&self) -> Option<u16> {
        (0..COUNT)
            .map(|step| FIRST + (self.start + step) % COUNT)
            .find(|port| !self.chosen.values().any(|taken| taken == port) && is_free(*port))
    }
}

/// A broken or missing file counts as empty: the ports are chosen anew.
fn read(file: &Path) -> BTreeMap<String, u16> {
    fs::read_to_string(file).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

/// Two checkouts that start at the same moment begin their search at different ports.
fn start(instance: &str) -> u16 {
    let sum = instance.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    u16::try_from(sum % u32::from(COUNT)).expect("less than COUNT")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_kept_and_a_taken_one_replaced() {
        let file = std::env::temp_dir().join(format!("lockstep-ports-{}.json", std::process::id()));
        let mut ports = Ports { file: file.clone(), start: start("lockstep_test"), chosen: BTreeMap::new() };
        ports.choose(&["one", "two"]).unwrap();
        let (one, two) = (ports.get("one").unwrap(), ports.get("two").unwrap());
        assert_ne!(one, two);

        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, one)).unwrap();
        ports.choose(&["one", "two"]).unwrap();
        assert_ne!(ports.get("one"), Some(holder.local_addr().unwrap().port()));
        assert_eq!(ports.get("two"), Some(two));
        assert_eq!(read(&file), ports.chosen);
        fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_broken_file_counts_as_empty() {
        let file = std::env::temp_dir().join(format!("lockstep-broken-ports-{}.json", std::process::id()));
        fs::write(&file, "{\"postgres\": 12").unwrap();
        assert_eq!(read(&file), BTreeMap::new());
        fs::remove_file(file).unwrap();
    }
}
