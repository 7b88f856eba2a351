//! Attaching capture to a source database: look at what is there, plan what is missing, do it.
//!
//! [`inspect`] reads catalogs only. [`plan`] is pure: the same database gives the same plan, and one that has everything
//! gives an empty one. [`apply`] runs it step by step; a run that was killed is continued by the next. [`detach`] plans how
//! all of it is taken away again.

mod apply;
mod describe;
mod detach;
mod extent;
mod fill_steps;
mod flaws;
mod inspect;
mod plan;
mod shape;

pub use apply::{ApplyEvent, Applying, apply};
pub use describe::{
    ApplicationTable, OF_APPLICATION, ORDINARY, TenantsTable, application_tables, is_of_others, tables_named,
    tenants_tables, unique_keys, uuid_columns,
};
pub use detach::detach;
pub use extent::{Extent, Keeper, extent};
pub use fill_steps::Replaced;
pub use flaws::{Flaw, FlawKind, flaws};
pub use inspect::{Captured, Live, LiveObject, facts, inspect, inspect_catalog, tenancies_known};
pub use plan::{Mode, Part, Step, Wishes, misfits, note_tenancies, outflanked, plan};
pub use shape::{mappings_of, may_have_changed, note_shape, shape};
