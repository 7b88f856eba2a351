//! Whether tenants' own destinations can be worked for.

use std::collections::BTreeSet;

use lockstep_core::settings::Settings;
use lockstep_mappings::MappingSet;
use lockstep_mappings::postgres::{table, tenancy_table};
use lockstep_schema::tenant_destinations::{TenantDestination, list, overview};
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Check, or_ok};
use crate::deployment::Deployment;
use crate::destinations::key_ring;
use crate::error::OperationError;
use crate::shown::counted;

pub(super) const CHECK: &str = "tenants' destinations";
/// One that fails for longer is told.
const FAILS_FOR_S: i32 = 3600;
/// So many ids are named in one line.
const NAMED: usize = 5;

/// Nothing is looked at where there are none.
pub(super) async fn look(settings: &Settings, mappings: &MappingSet) -> Result<Vec<Check>, OperationError> {
    let deployment = Deployment::connect(settings, mappings).await?;
    let control = deployment.control()?;
    let all = list(control, None).await?;
    if all.is_empty() {
        return Ok(vec![Check::ok(CHECK, "there are none")]);
    }
    let mut findings = sealed(settings, &all);
    findings.extend(orphans(&deployment.client).await?);
    findings.extend(unknown_mappings(mappings, &all));
    let failing = overview::failing_for(control, FAILS_FOR_S).await?;
    findings.extend(some(failing.iter().map(|(id, since, code)| {
        format!("{id} since {since} ({})", code.as_deref().unwrap_or("no code"))
    })).map(|failing| {
        let remedy = "`lockstep destination test ID` says what is wrong; its tenant has to mend it, or `lockstep destination pause ID`";
        Check::finding(CHECK, format!("failing for more than an hour: {failing}"), remedy)
    }));
    let (stopped, _) = overview::troubled_mappings(control).await?;
    if stopped > 0 {
        let remedy = "`lockstep destination show ID` says what differs; its tenant has to mend the tables";
        findings.push(Check::finding(
            CHECK,
            format!("{} stopped: their tables do not fit", counted(stopped, "mapping is", "mappings are")),
            remedy,
        ));
    }
    Ok(or_ok(CHECK, &format!("{} can be worked for", all.len()), findings))
}

/// What cannot be decrypted.
fn sealed(settings: &Settings, all: &[TenantDestination]) -> Vec<Check> {
    let keys = match key_ring(settings) {
        Ok(keys) => keys,
        Err(error) => {
            let remedy = "give this command and the workers the file that the connection strings are encrypted with";
            return vec![Check::finding(CHECK, format!("none can be connected to: {error}"), remedy)];
        }
    };
    let (mut missing, mut broken) = (BTreeSet::new(), Vec::new());
    for setup in all.iter().map(|destination| &destination.setup) {
        if !keys.has(&setup.sealed.key_id) {
            missing.insert(setup.sealed.key_id.clone());
        } else if keys.open(&setup.sealed, setup.holder()).is_err() {
            broken.push(setup.id.to_string());
        }
    }
    let missing = some(missing.into_iter()).map(|keys| {
        let remedy =
            "put the lines of these keys back into LOCKSTEP_SECRET_KEY_FILE, then `lockstep destination rotate-key`";
        Check::finding(
            CHECK,
            format!("connection strings are encrypted with keys that are not in the file: {keys}"),
            remedy,
        )
    });
    let broken = some(broken.into_iter()).map(|ids| {
        let remedy = "`lockstep destination change ID` with the connection string; see LS-0221";
        Check::finding(CHECK, format!("connection strings cannot be decrypted: {ids}"), remedy)
    });
    missing.into_iter().chain(broken).collect()
}

/// Destinations of tenancies that are gone.
async fn orphans(client: &Client) -> Result<Option<Check>, OperationError> {
    let sql = format!(
        "SELECT d.id FROM lockstep.tenant_destination d WHERE NOT EXISTS (SELECT 1 FROM {} t WHERE t.\"id\" = d.tenancy_id) ORDER BY 1",
        table(&tenancy_table())
    );
    let rows = client.query(&sql, &[]).await?;
    Ok(some(rows.iter().map(|row| row.get::<_, Uuid>(0).to_string())).map(|ids| {
        let remedy = "nothing, while their erasure is under way; else `lockstep destination remove ID`";
        Check::finding(CHECK, format!("of tenancies that do not exist: {ids}"), remedy)
    }))
}

/// Mappings that no definition has any more.
fn unknown_mappings(mappings: &MappingSet, all: &[TenantDestination]) -> Option<Check> {
    let known: BTreeSet<_> = mappings.iter().map(|mapping| mapping.name.as_str()).collect();
    let unknown = all.iter().flat_map(|destination| {
        let names = destination.setup.mappings.iter().flatten();
        let id = destination.setup.id;
        names.filter(|name| !known.contains(name.as_str())).map(move |name| format!("{name} of {id}"))
    });
    some(unknown).map(|unknown| {
        let remedy = "load their definitions (LOCKSTEP_MAPPINGS_DIR), or `lockstep destination change ID --mapping …`";
        Check::finding(CHECK, format!("mappings that are not known: {unknown}"), remedy)
    })
}

/// Some of them, and how many more there are; none where there are none.
fn some(all: impl Iterator<Item = String>) -> Option<String> {
    let all: Vec<_> = all.collect();
    let named = all.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        _ if all.is_empty() => None,
        0 => Some(named),
        more => Some(format!("{named} and {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_named_and_the_others_counted() {
        let of = |count: usize| some((1..=count).map(|number| number.to_string()));
        assert_eq!(of(0), None);
        assert_eq!(of(2).as_deref(), Some("1, 2"));
        assert_eq!(of(7).as_deref(), Some("1, 2, 3, 4, 5 and 2 more"));
    }
}
