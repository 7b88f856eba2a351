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
    /// The private one, if this checkout has one.
    pub(crate) private: Option<String>,
    /// What the environment says to use instead; may hold a password.
    pub(crate) given: Option<String>,
}

/// How to reach all of them.
#[derive(Debug)]
pub(crate) struct Endpoints(pub(crate) Vec<Endpoint>);

impl Endpoints {
    /// Writes the private ones to `.lockstep/env`, one `NAME=URL` a line; also those that are not used this time.
    pub(crate) fn write(&self, workspace: &Workspace) -> Result<()> {
        let mut text = String::new();
        for Endpoint { variable, private, .. } in &self.0 {
            if let Some(url) = private {
                writeln!(text, "{variable}={url}")?;
            }
        }
        write_whole(&workspace.directory.join("env"), &text)
    }

    /// Prints the private ones that are used, and names what the environment gives.
    pub(crate) fn print(&self) {
        for Endpoint { service, variable, private, given } in &self.0 {
            match (given, private) {
                (Some(_), _) => eprintln!("{service:11} is the one that {variable} in the environment names"),
                (None, Some(url)) => println!("{variable}={url}"),
                (None, None) => {}
            }
        }
    }

    /// Names of the services that this checkout runs itself, in small letters.
    pub(crate) fn private_names(&self) -> Vec<String> {
        let private = self.0.iter().filter(|endpoint| endpoint.given.is_none());
        private.map(|endpoint| endpoint.service.to_lowercase()).collect()
    }

    /// Tells a program to use them.
    pub(crate) fn apply(&self, command: &mut Command) {
        let urls = self.0.iter().filter_map(|endpoint| Some((endpoint.variable, endpoint.url()?)));
        command.envs(urls);
    }
}

impl Endpoint {
    fn url(&self) -> Option<&str> {
        self.given.as_deref().or(self.private.as_deref())
    }
}
