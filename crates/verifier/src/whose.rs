//! Whose rows are compared: those of everybody who lives at a place, as ClickHouse holds them, or those of one tenancy, as a
//! database of its own does. What is asked of the source depends on it, and nothing else.

use lockstep_core::{DestinationId, Location, SequenceId, TenancyId};
use lockstep_mappings::Mapping;
use lockstep_mappings::postgres::compare::{self, Key, Part, Scope};
use lockstep_mappings::postgres::fetch::ReadFrom;

/// Whose rows are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    /// Those of all tenancies. A key is looked for at its place, whoever lives there.
    Everybodys,
    /// Those of one tenancy, wherever it lives: the place of every key is empty.
    Own(TenancyId),
}

/// Whether a mapping was filled in ClickHouse (`$2`), and no fill of it is to begin.
const FILLED: &str = "SELECT EXISTS (SELECT 1 FROM lockstep.fill WHERE destination = $2 AND mapping_name = $1 AND finished_at IS NOT NULL)
  AND NOT EXISTS (SELECT 1 FROM lockstep.refill WHERE mapping_name = $1)
  AND NOT EXISTS (SELECT 1 FROM lockstep.destination WHERE name = $2 AND needs_refill_since IS NOT NULL)";

/// Whether nobody has asked for a fill of a mapping in a tenant's own destination (`$2`). Whether one is under way is
/// written down there, and shows in its cursors.
const OWN_FILLED: &str = "SELECT NOT EXISTS (SELECT 1 FROM lockstep.refill WHERE mapping_name = $1)
  AND NOT EXISTS (SELECT 1 FROM lockstep.tenant_mapping WHERE destination_id = $2::text::uuid AND mapping_name = $1
    AND (refill_requested_at IS NOT NULL OR state <> 'streaming'))";

/// The number of the fill.
const FILL: &str = "SELECT COALESCE(max(floor), 0) FROM lockstep.fill WHERE mapping_name = $1 AND destination = $2";

/// The last number before the fill's end: whatever a row was before has arrived with it.
const OWN_FILL: &str = "SELECT COALESCE(max(p.last_sequence), 0) FROM lockstep.tenant_mapping m JOIN lockstep.pass p ON p.passed_at <= m.filled_at
  WHERE m.mapping_name = $1 AND m.destination_id = $2::text::uuid";

impl Whose {
    /// The statement for their rows in a part of the source table.
    pub(crate) fn rows(self, mapping: &Mapping, scope: Scope<'_>, part: Part<'_>) -> String {
        match self {
            Self::Everybodys => compare::rows_of(mapping, scope, part),
            Self::Own(owner) => compare::own_rows(mapping, owner, scope, part),
        }
    }

    /// The statement for what may still change keys. `after`: from which number on changes of each tenancy are of interest.
    pub(crate) fn claims(self, mapping: &Mapping, to: &DestinationId, keys: &[Key], after: &[ReadFrom]) -> String {
        match self {
            Self::Everybodys => compare::claims(mapping, to, keys, after),
            Self::Own(tenancy) => {
                let own = after.iter().find(|from| from.tenancy == tenancy).copied();
                let own = own.unwrap_or(ReadFrom { tenancy, after: SequenceId::BASE });
                compare::own_claims(mapping, to, keys, own)
            }
        }
    }

    /// The statement for the transactions that wrote rows last.
    pub(crate) fn written(self, mapping: &Mapping, keys: &[Key]) -> String {
        match self {
            Self::Everybodys => compare::written(mapping, keys),
            Self::Own(owner) => compare::own_written(mapping, owner, keys),
        }
    }

    /// The statement for the number with which the rows of a mapping (`$1 text`) that were there before are in a destination (`$2 text`).
    pub(crate) const fn fill(self) -> &'static str {
        match self {
            Self::Everybodys => FILL,
            Self::Own(_) => OWN_FILL,
        }
    }

    /// The statement for whether a mapping (`$1 text`) is filled in a destination (`$2 text`), as far as the source knows.
    pub(crate) const fn filled(self) -> &'static str {
        match self {
            Self::Everybodys => FILLED,
            Self::Own(_) => OWN_FILLED,
        }
    }

    /// A key as it is compared, from one with the place of its row.
    pub(crate) fn key(self, key: Key) -> Key {
        match self {
            Self::Everybodys => key,
            Self::Own(_) => Key { location: Location { project_id: String::new(), branch_id: String::new() }, ..key },
        }
    }
}
