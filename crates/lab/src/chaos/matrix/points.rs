//! Every failpoint, and which program comes there.

/// A daemon that fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// `lockstep-sequencer`.
    Sequencer,
    /// `lockstep-worker`.
    Worker,
}

impl Program {
    /// The program's file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sequencer => "lockstep-sequencer",
            Self::Worker => "lockstep-worker",
        }
    }

    /// The one that goes on meanwhile.
    pub const fn other(self) -> Self {
        match self {
            Self::Sequencer => Self::Worker,
            Self::Worker => Self::Sequencer,
        }
    }
}

/// A place at which a program can be told to fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Point {
    /// Its name, as in the code.
    pub name: &'static str,
    /// Who is to fail there.
    pub program: Program,
    /// How often it is passed before there is anything to ship: a worker that starts looks whether both sides answer.
    pub passes_before: u32,
    /// Whether it is on the way of a fill, which then is begun beside the edits.
    pub fills: bool,
    /// Whether it is on the way to a tenant's own database. Only where it is, there are any: other points are of ClickHouse.
    pub of_tenants: bool,
}

const fn of_sequencer(name: &'static str) -> Point {
    Point { name, program: Program::Sequencer, passes_before: 0, fills: false, of_tenants: false }
}

const fn of_worker(name: &'static str) -> Point {
    Point { program: Program::Worker, ..of_sequencer(name) }
}

const fn of_fill(name: &'static str) -> Point {
    Point { fills: true, ..of_worker(name) }
}

const fn of_tenants(name: &'static str) -> Point {
    Point { of_tenants: true, ..of_worker(name) }
}

/// All of them, on the way of a row: of a changed one, and then of one that a fill ships.
pub const POINTS: [Point; 33] = [
    of_sequencer("sequencer::pass_commit::before"),
    of_sequencer("sequencer::pass_commit::after"),
    of_sequencer("sequencer::expansion_commit::before"),
    of_sequencer("sequencer::expansion_commit::after"),
    of_sequencer("queue::publish::before"),
    of_sequencer("queue::publish::after"),
    of_sequencer("queue::confirm::before"),
    of_sequencer("queue::confirm::after"),
    of_sequencer("sequencer::announced::before"),
    of_sequencer("sequencer::announced::after"),
    Point { passes_before: 1, ..of_worker("worker::cursor_read::before") },
    Point { passes_before: 1, ..of_worker("worker::cursor_read::after") },
    of_worker("worker::copy_read::before"),
    of_worker("worker::copy_read::after"),
    of_worker("worker::insert::before"),
    of_worker("worker::insert::after"),
    of_worker("worker::cursor_write::before"),
    of_worker("worker::cursor_write::after"),
    of_worker("queue::ack::before"),
    of_worker("queue::ack::after"),
    of_worker("worker::passed::before"),
    of_worker("worker::passed::after"),
    of_fill("worker::fill_range::before"),
    of_fill("worker::fill_range::after"),
    of_fill("worker::fill_catch_up::after"),
    of_fill("worker::fill_end::before"),
    of_fill("worker::fill_end::after"),
    of_tenants("tenants::page_commit::before"),
    of_tenants("tenants::page_commit::after"),
    of_tenants("tenants::recorded::before"),
    of_tenants("tenants::recorded::after"),
    Point { fills: true, ..of_tenants("tenants::fill_commit::before") },
    Point { fills: true, ..of_tenants("tenants::fill_commit::after") },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;
    use lockstep_testkit::databases::checkout;

    /// Points that no row comes by: tests of their own reach them.
    const ELSEWHERE: [&str; 2] = ["sequencer::events::told", "sequencer::events::sent"];

    fn points_in(directory: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                points_in(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let places = text.split("failpoint!(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
                found.extend(places.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }

    #[test]
    fn every_point_in_the_code_is_in_the_matrix_and_every_one_in_the_matrix_is_in_the_code() {
        let mut found = BTreeSet::new();
        for name in ["sequencer", "worker", "queue", "destinations"] {
            points_in(&checkout().join("crates").join(name).join("src"), &mut found);
        }
        assert!(ELSEWHERE.iter().all(|name| found.remove(*name)), "one of {ELSEWHERE:?} is gone");
        let known: BTreeSet<_> = POINTS.iter().map(|point| point.name.to_owned()).collect();
        assert_eq!((found, POINTS.len()), (known.clone(), known.len()));
    }
}
