//! The URLs of the services, for people, for other programs and for the tests.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::Result;

use crate::workspace::{Workspace, write_whole};

/// How to reach one service.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) service: &'static str,
    /// Name of the variable that every Lockstep program reads.
    pub(crate) variable: &'static str,
    /// May hold a password, unless the service is a private one.
    pub(crate) url: String,
    /// Started here, rather than given by the environment.
    pub(crate) private: bool,
}

/// How to reach all of them.
#[derive(Debug)]
pub(crate) struct Endpoints(pub(crate) Vec<Endpoint>);

impl Endpoints {
    /// Writes the private ones to `.lockstep/env`, one `NAME=URL` a line.
    pub(crate) fn write(&self, workspace: &Workspace) -> Result<()> {
        let mut text = String::new();
        for endpoint in self.0.iter().filter(|endpoint| endpoint.private) {
            writeln!(text, "{}={}", endpoint.variable, endpoint.url)?;
        }
        write_whole(&workspace.directory.join("env"), &text)
    }

    /// Prints what `.lockstep/env` holds, and names what the environment gives.
    pub(crate) fn print(&self) {
        for endpoint in &self.0 {
            if endpoint.private {
                println!("{}={}", endpoint.variable, endpoint.url);
            } else {
                eprintln!("{:11} as {} in the environment says", endpoint.service, endpoint.variable);
            }
        }
    }

    /// Tells a program to use them.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.envs(self.0.iter().map(|endpoint| (endpoint.variable, &endpoint.url)));
    }
}
