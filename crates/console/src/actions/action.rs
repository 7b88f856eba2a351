//! What can be done from a page, and how the command line says the same. Pure.

use std::slice;

use lockstep_core::TenancyId;
use lockstep_operations::shell::{quoted, word};
use lockstep_operations::{ActionRecord, DESTINATION, Part};
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
    /// They are forgotten; so many, as they were typed.
    Drop(Quarantined, String),
    /// A tenant's rows are erased; its id was typed.
    Erase(TenancyId, String),
    /// A setting of all programs gets a value.
    Set(String, String),
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
    /// With what was typed into the form, where it asks for more than a reason.
    ///
    /// # Errors
    /// When there is no such action.
    pub(crate) fn action(&self, what: &str, typed: &str) -> Result<Action, Refusal> {
        let typed = || typed.trim().to_owned();
        let tenancy =
            || self.name.parse().map_err(|_| Refusal::Wrong("A tenant is named by its id, a UUID.".to_owned()));
        Ok(match (what, self.kind.as_str()) {
            ("pause", _) => Action::Pause(self.part()?),
            ("resume", _) => Action::Resume(self.part()?),
            ("resync", "mapping") => Action::ResyncMapping(self.name.clone()),
            ("resync", "tenancy") => Action::ResyncTenant(tenancy()?),
            ("retry", _) => Action::Retry(self.rows.clone()),
            ("drop", _) => Action::Drop(self.rows.clone(), typed()),
            ("erase", "tenancy") => Action::Erase(tenancy()?, typed()),
            ("set", "setting") => Action::Set(self.name.clone(), typed()),
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
        let Self { kind, name, rows: Quarantined { tenant, mapping, destination, code } } = self;
        // Separated by what no value has in it unnoticed: lengths say where each ends.
        [what, kind, name, tenant, mapping, destination, code].map(|part| format!("{}:{part}", part.len())).join(" ")
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
            Self::Drop(..) => "Forget rows in quarantine".to_owned(),
            Self::Erase(id, _) => format!("Erase tenant {id}"),
            Self::Set(name, _) => format!("Change the setting {name}"),
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
            Self::ResyncMapping(name) => format!("lockstep resync --mapping {}", word(name)),
            Self::ResyncTenant(id) => format!("lockstep resync --tenant {id}"),
            Self::Retry(rows) => format!("lockstep quarantine retry{}", options(rows)),
            Self::Drop(rows, _) => format!("lockstep quarantine drop{}", options(rows)),
            Self::Erase(id, _) => format!("lockstep erase --tenant {id} --and-pause"),
            Self::Set(name, value) => {
                let value = quoted(if value.is_empty() { "…" } else { value });
                format!("lockstep settings set {} {value}", word(name))
            }
        }
    }

    /// What the equal command writes down.
    pub(crate) fn change(&self) -> ActionRecord {
        match self {
            Self::Pause(part) => ActionRecord::of_part("pause", part),
            Self::Resume(part) => ActionRecord::of_part("resume", part),
            Self::ResyncMapping(name) => ActionRecord::resync(&[], slice::from_ref(name), DESTINATION),
            Self::ResyncTenant(id) => ActionRecord::resync(slice::from_ref(id), &[], DESTINATION),
            Self::Retry(rows) => of_quarantine("quarantine retry", rows),
            Self::Drop(rows, _) => of_quarantine("quarantine drop", rows),
            Self::Erase(id, _) => ActionRecord::erase(*id, true),
            Self::Set(name, value) => ActionRecord::setting(name, value),
        }
    }

    /// What the form asks for beside a reason.
    pub(crate) const fn asks_for(&self) -> Option<&'static str> {
        match self {
            Self::Drop(..) => Some("How many rows that is, typed"),
            Self::Erase(..) => Some("The tenant's id, typed"),
            Self::Set(..) => Some("Value"),
            _ => None,
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
            Self::Retry(_) | Self::Drop(..) => "/quarantine".to_owned(),
            Self::Erase(id, _) => format!("/tenants/{id}"),
            Self::Set(..) => "/operations".to_owned(),
        }
    }
}

fn of_quarantine(what: &'static str, rows: &Quarantined) -> ActionRecord {
    let [tenant, mapping, destination, code] =
        rows.pairs().map(|(_, value)| Some(value).filter(|value| !value.is_empty()));
    let of = [mapping, tenant, destination, code];
    ActionRecord::of_quarantine(what, of, of.iter().all(Option::is_none))
}

/// As options of a command; all of them where nothing is said.
fn options(rows: &Quarantined) -> String {
    let given = rows.pairs().into_iter().filter(|(_, value)| !value.is_empty());
    let options: String = given.map(|(option, value)| format!(" --{option} {}", word(value))).collect();
    if options.is_empty() { " --all".to_owned() } else { options }
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
    if name.is_empty() { part.kind().to_owned() } else { format!("{} {}", part.kind(), word(&name)) }
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
        let command = |what: &str, named: &Named| named.action(what, "").unwrap().command(Some("it's late"));
        assert_eq!(
            command("pause", &named("mapping", "users")),
            r"lockstep pause mapping users --reason 'it'\''s late'"
        );
        assert_eq!(command("resume", &named("workers", "")), "lockstep resume workers");
        assert_eq!(command("resync", &named("tenancy", id)), format!("lockstep resync --tenant {id}"));
        let rows = Quarantined {
            mapping: "users; rm".to_owned(),
            tenant: id.to_owned(),
            code: "LS-0203".to_owned(),
            ..Quarantined::default()
        };
        let rows = Named { rows, ..Named::default() };
        assert_eq!(
            command("retry", &rows),
            format!("lockstep quarantine retry --tenant {id} --mapping 'users; rm' --code LS-0203")
        );
        let written = named("mapping", "users").action("resync", "").unwrap().change();
        let as_typed = serde_json::json!({ "tenants": [], "mappings": ["users"], "destination": "clickhouse" });
        assert_eq!(
            (written.what, written.arguments),
            ("resync", as_typed),
            "as the command without --destination has it"
        );
        assert_eq!(command("drop", &Named::default()), "lockstep quarantine drop --all");
        assert_eq!(command("erase", &named("tenancy", id)), format!("lockstep erase --tenant {id} --and-pause"));
        assert_eq!(
            named("setting", "change_retention").action("set", "2 days").unwrap().command(None),
            "lockstep settings set change_retention '2 days'"
        );
    }

    #[test]
    fn what_is_no_action_is_none() {
        for (what, named) in [
            ("delete", named("mapping", "users")),
            ("erase", named("mapping", "users")),
            ("pause", named("database", "users")),
            ("pause", named("tenancy", "no id")),
            ("resync", named("workers", "")),
        ] {
            assert!(named.action(what, "").is_err(), "{what} {}", named.kind);
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
