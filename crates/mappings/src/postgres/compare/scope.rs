//! What is compared, and how it is said to Postgres.

use lockstep_core::Location;

use super::{Key, key_text};
use crate::mapping::Mapping;
use crate::postgres::names::{identifier, literal};

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// Every row.
    All,
    /// Rows of a range of projects, with all their branches.
    Projects(&'a Projects),
    /// Rows at these locations. Whole locations, because tenancies can share one.
    Locations(&'a [Location]),
    /// Rows at one location, of these buckets of its keys.
    Buckets(&'a Location, &'a [u8]),
    /// Rows with these keys.
    Keys(&'a [Key]),
}

/// A range of projects, in the order of the bytes of their ids.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Projects {
    /// The first.
    pub first: String,
    /// The first that is not in it any more; none where it has no end.
    pub end: Option<String>,
}

impl Projects {
    /// Whether these are all there can be.
    pub fn is_all(&self) -> bool {
        self.first.is_empty() && self.end.is_none()
    }
}

impl Scope<'_> {
    /// The condition that the tenancy `t` is in it, where that is less than all.
    pub(super) fn of_tenancy(self) -> Option<String> {
        match self {
            Self::All | Self::Keys(_) => None,
            Self::Projects(projects) => {
                let first = format!("t.\"projectId\" COLLATE \"C\" >= {}", literal(&projects.first));
                let end = projects
                    .end
                    .as_ref()
                    .map_or_else(String::new, |end| format!(" AND t.\"projectId\" COLLATE \"C\" < {}", literal(end)));
                (!projects.is_all()).then(|| format!("{first}{end}"))
            }
            Self::Locations(locations) => Some(in_locations(locations)),
            Self::Buckets(location, _) => Some(in_locations(std::slice::from_ref(location))),
        }
    }

    /// ` AND` the source row `s` is in one of its buckets, where it has any.
    pub(super) fn and_bucket(self, mapping: &Mapping) -> String {
        let Self::Buckets(_, buckets) = self else { return String::new() };
        format!(" AND {} = ANY('{{{}}}'::int[])", source_bucket(mapping), list(buckets))
    }
}

/// Numbers with commas between them.
pub(crate) fn list(buckets: &[u8]) -> String {
    buckets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The bucket of a key, 0 to 255: the first byte of a hash of the canonical text of its values.
pub(crate) fn bucket(values: &[String]) -> String {
    let text = values.join(" || E'\\x01' || ");
    format!("get_byte(decode(md5(convert_to({text}, 'UTF8')), 'hex'), 0)")
}

/// The bucket of the source row `s`.
pub(super) fn source_bucket(mapping: &Mapping) -> String {
    let values = mapping.key_sources().map(|(column, source)| {
        key_text(&format!("(s.{})::{}", identifier(source), column.column_type.base.postgres_cast()))
    });
    bucket(&values.collect::<Vec<_>>())
}

fn location(location: &Location) -> String {
    format!("{}, {}", literal(&location.project_id), literal(&location.branch_id))
}

fn in_locations(locations: &[Location]) -> String {
    let list: Vec<_> = locations.iter().map(|at| format!("({})", location(at))).collect();
    if list.is_empty() {
        "FALSE".to_owned()
    } else {
        format!("(t.\"projectId\", t.\"branchId\") IN ({})", list.join(", "))
    }
}
