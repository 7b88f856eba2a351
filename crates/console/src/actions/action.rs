//! What can be done from a page, and how the command line says the same. Pure.

use lockstep_core::TenancyId;
use lockstep_operations::Part;
use serde::Deserialize;

use crate::answer::Refusal;
use crate::views::quarantine::Asked as Quarantined;

/// What can be done.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// A part stands still until it is resumed.
    Pause(Part),
    /// It goes on.
    Resume(Part),
    /// All rows of a mapping are exported again.
    ResyncMapping(String),
    /// All rows of a tenant are.
    ResyncTenant(TenancyId),
    /// Rows in quarantine are shipped again.
    Retry(Quarantined),
}

/// What a form names it by.
#[derive(Clone, Deserialize, Default, Debug)]
pub(crate) struct Named {
    #[serde(default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) rows: Quarantined,
}

impl Named {
    /// # Errors
    /// When there is no such action.
    pub(crate) fn action(&self, what: &str) -> Result<Action, Refusal> {
        let tenancy =
            || self.name.parse().map_err(|_| Refusal::Wrong("A tenant is named by its id, a UUID.".to_owned()));
        Ok(match (what, self.kind.as_str()) {
            ("pause", _) => Action::Pause(self.part()?),
            ("resume", _) => Action::Resume(self.part()?),
            ("resync", "mapping") => Action::ResyncMapping(self.name.clone()),
            ("resync", "tenancy") => Action::ResyncTenant(tenancy()?),
            ("retry", _) => Action::Retry(self.rows.clone()),
            _ => return Err(Refusal::nothing("There is no such action.")),
        })
    }

    fn part(&self) -> Result<Part, Refusal> {
        Ok(match self.kind.as_str() {
            "sequencer" => Part::Sequencer,
            "workers" => Part::Workers,
            "mapping" => Part::Mapping(self.name.clone()),
            "destination" => Part::Destination(self.name.clone()),
            "tenancy" => {
                let id =
                    self.name.parse().map_err(|_| Refusal::Wrong("A tenant is named by its id, a UUID.".to_owned()))?;
                Part::Tenancy(id)
            }
            _ => return Err(Refusal::nothing("There is no such part.")),
        })
    }

    /// What a form is signed for, beside what it does.
    pub(crate) fn signed(&self, what: &str) -> String {
        let Self { kind, name, rows: Quarantined { tenant, mapping, destination } } = self;
        // Separated by what no value has in it unnoticed: lengths say where each ends.
        [what, kind, name, tenant, mapping, destination].map(|part| format!("{}:{part}", part.len())).join(" ")
    }
}

impl Action {
    /// What the button says.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Pause(part) => format!("Pause {}", told(part)),
            Self::Resume(part) => format!("Resume {}", told(part)),
            Self::ResyncMapping(name) => format!("Export the mapping {name} again"),
            Self::ResyncTenant(id) => format!("Export tenant {id} again"),
            Self::Retry(_) => "Ship rows in quarantine again".to_owned(),
        }
    }

    /// The same as a command.
    pub(crate) fn command(&self, reason: Option<&str>) -> String {
        match self {
            Self::Pause(part) => {
                let reason = quoted(reason.unwrap_or("…"));
                format!("lockstep pause {} --reason {reason}", words(part))
            }
            Self::Resume(part) => format!("lockstep resume {}", words(part)),
            Self::ResyncMapping(name) => format!("lockstep resync --mapping {}", quoted_if_needed(name)),
            Self::ResyncTenant(id) => format!("lockstep resync --tenant {id}"),
            Self::Retry(rows) => {
                let mut command = "lockstep quarantine retry".to_owned();
                for (option, value) in rows.pairs().into_iter().filter(|(_, value)| !value.is_empty()) {
                    command.push_str(&format!(" --{option} {}", quoted_if_needed(value)));
                }
                command
            }
        }
    }

    /// Where its outcome is seen.
    pub(crate) fn seen_at(&self) -> String {
        match self {
            Self::Pause(Part::Mapping(_)) | Self::Resume(Part::Mapping(_)) => "/mappings".to_owned(),
            Self::Pause(Part::Tenancy(id)) | Self::Resume(Part::Tenancy(id)) => format!("/tenants/{id}"),
            Self::Pause(_) | Self::Resume(_) | Self::ResyncMapping(_) | Self::ResyncTenant(_) => {
                "/operations".to_owned()
            }
            Self::Retry(_) => "/quarantine".to_owned(),
        }
    }
}

fn told(part: &Part) -> String {
    match part {
        Part::Sequencer => "the sequencer".to_owned(),
        Part::Workers => "the workers".to_owned(),
        Part::Mapping(name) => format!("the mapping {name}"),
        Part::Destination(name) => format!("the destination {name}"),
        Part::Tenancy(id) => format!("tenant {id}"),
    }
}

fn words(part: &Part) -> String {
    let name = part.name();
    if name.is_empty() { part.kind().to_owned() } else { format!("{} {}", part.kind(), quoted_if_needed(&name)) }
}

/// One word for a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn quoted_if_needed(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_plain && !text.is_empty() { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kind: &str, name: &str) -> Named {
        Named { kind: kind.to_owned(), name: name.to_owned(), ..Named::default() }
    }

    #[test]
    fn each_action_is_told_as_the_command_that_does_the_same() {
        let id = "00000000-0000-4000-8000-000000000001";
        let command = |what: &str, named: &Named| named.action(what).unwrap().command(Some("it's late"));
        assert_eq!(
            command("pause", &named("mapping", "users")),
            r"lockstep pause mapping users --reason 'it'\''s late'"
        );
        assert_eq!(command("resume", &named("workers", "")), "lockstep resume workers");
        assert_eq!(command("resync", &named("tenancy", id)), format!("lockstep resync --tenant {id}"));
        let rows = Quarantined { mapping: "users; rm".to_owned(), tenant: id.to_owned(), ..Quarantined::default() };
        let rows = Named { rows, ..Named::default() };
        assert_eq!(command("retry", &rows), format!("lockstep quarantine retry --tenant {id} --mapping 'users; rm'"));
    }

    #[test]
    fn what_is_no_action_is_none() {
        for (what, named) in [
            ("drop", named("mapping", "users")),
            ("pause", named("database", "users")),
            ("pause", named("tenancy", "no id")),
            ("resync", named("workers", "")),
        ] {
            assert!(named.action(what).is_err(), "{what} {}", named.kind);
        }
    }

    #[test]
    fn a_form_is_signed_for_one_thing_only() {
        let one = named("mapping", "users").signed("pause");
        assert_ne!(one, named("mapping", "teams").signed("pause"));
        assert_ne!(one, named("mapping", "users").signed("resume"));
        assert_ne!(named("a", "b c").signed("pause"), named("a b", "c").signed("pause"));
    }
}
