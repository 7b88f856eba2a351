//! `cargo xtask status`: one aligned table.

use anyhow::Result;

use super::{Service, all, given, is_own};
use crate::ports::Ports;
use crate::workspace::Workspace;

const HEADINGS: [&str; 6] = ["service", "state", "pid", "address", "version", "log"];

/// Prints what runs, where, and where it logs.
pub(crate) fn status(workspace: &Workspace) -> Result<()> {
    let ports = Ports::remembered(workspace);
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(all(workspace).iter().map(|service| row(service.as_ref(), workspace, &ports)));
    print!("{}", aligned(&rows));
    Ok(())
}

fn row(service: &dyn Service, workspace: &Workspace, ports: &Ports) -> [String; 6] {
    let none = || "-".to_owned();
    if let Some(url) = given(service, ports).filter(|url| !is_own(workspace, url, ports)) {
        return [service.name().to_owned(), "given".to_owned(), none(), host(&url), none(), none()];
    }
    let traces = service.traces();
    let (pid, port) = (traces.running(), ports.get(service.port_names()[0]));
    let version = pid.and(port).and_then(|port| service.version(port));
    let state = match (pid, &version) {
        (Some(_), Some(_)) => "up",
        (Some(_), None) => "not answering",
        (None, _) => "down",
    };
    [
        service.name().to_owned(),
        state.to_owned(),
        pid.map_or_else(none, |pid| pid.to_string()),
        port.map_or_else(none, |port| format!("127.0.0.1:{port}")),
        version.unwrap_or_else(none),
        if traces.log.exists() { workspace.shown(&traces.log) } else { none() },
    ]
}

/// Host and port of a URL, without the password that may stand before them.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host).to_owned()
}

/// Columns as wide as their widest cell.
fn aligned(rows: &[[String; 6]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &[String; 6]| {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        assert_eq!(host("postgres://me:secret@db.example:5432/app?sslmode=require"), "db.example:5432");
        assert_eq!(host("http://127.0.0.1:8123"), "127.0.0.1:8123");
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a", "b", "c", "d", "e", "f"], ["aaa", "b", "c", "d", "e", "f"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "a    b  c  d  e  f\naaa  b  c  d  e  f\n");
    }
}
