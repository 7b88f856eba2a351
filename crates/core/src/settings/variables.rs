//! Variables of the environment that are no settings: a name that is misspelt would set nothing, and nobody would be told.

use std::collections::{BTreeMap, BTreeSet};

use clap::Command;

use super::file::{PREFIX, nearest, no_setting};
use super::is_blank;

/// What is said of each variable that is named like one of Lockstep's and that `command`, with its subcommands, does not know.
///
/// One that is empty counts as not given. Its value is not shown: it may be a secret.
pub fn unknown_variables(command: &Command) -> Vec<String> {
    let given = std::env::vars_os().filter(|(_, value)| !is_blank(value));
    let given = given.map(|(name, _)| name.to_string_lossy().into_owned()).filter(|name| name.starts_with(PREFIX));
    let mut known = BTreeSet::new();
    add_variables(command, &mut known);
    unknown(&given.collect(), &known)
}

fn add_variables(command: &Command, known: &mut BTreeSet<String>) {
    known.extend(command.get_arguments().filter_map(|flag| Some(flag.get_env()?.to_str()?.to_owned())));
    command.get_subcommands().for_each(|command| add_variables(command, known));
}

fn unknown(given: &BTreeSet<String>, known: &BTreeSet<String>) -> Vec<String> {
    let by_rest: BTreeMap<_, _> = known.iter().filter_map(|name| Some((name.strip_prefix(PREFIX)?, name))).collect();
    let unknown = given.difference(known).filter(|name| !is_of_kubernetes(name, given));
    let told = unknown.map(|name| {
        // The prefix, which all have, would make all alike.
        let meant = nearest(&name[PREFIX.len()..], by_rest.keys().copied());
        no_setting(name, meant.map(|rest| by_rest[rest].as_str()))
    });
    told.collect()
}

/// Whether Kubernetes has set it: a pod is told of each service by `NAME_SERVICE_HOST` and others that begin with the same name.
fn is_of_kubernetes(name: &str, given: &BTreeSet<String>) -> bool {
    let services = given.iter().filter_map(|name| name.strip_suffix("_SERVICE_HOST"));
    let mut rests = services.filter_map(|service| name.strip_prefix(service));
    rests.any(|rest| rest.starts_with("_SERVICE_") || rest == "_PORT" || rest.starts_with("_PORT_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_is_no_setting_is_told_with_the_nearest_and_what_kubernetes_sets_is_not() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let known = names(&["LOCKSTEP_LISTEN", "LOCKSTEP_CLICKHOUSE_URL", "LOCKSTEP_CONSOLE_LISTEN"]);
        let given = names(&[
            "LOCKSTEP_CLICKHOUSE_URL",
            "LOCKSTEP_CLIKHOUSE_URL",
            "LOCKSTEP_CONSOLE_PORT",
            "LOCKSTEP_CONSOLE_PORT_80_TCP_ADDR",
            "LOCKSTEP_CONSOLE_SERVICE_HOST",
            "LOCKSTEP_CONSOLE_SERVICE_PORT_HTTP",
            "LOCKSTEP_PORT",
            "LOCKSTEP_XYZ",
        ]);
        assert_eq!(
            unknown(&given, &known),
            [
                "no setting is called LOCKSTEP_CLIKHOUSE_URL; did you mean LOCKSTEP_CLICKHOUSE_URL?",
                "no setting is called LOCKSTEP_PORT",
                "no setting is called LOCKSTEP_XYZ",
            ]
        );
    }
}
