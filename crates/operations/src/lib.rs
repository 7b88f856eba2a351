//! What an operator does, without printing: a command line, a web page or a test calls the same functions.
//!
//! Start at [`Deployment`]. Each operation returns a report, a struct whose JSON form is stable and documented in
//! `docs/json.md`; what happens meanwhile is told to a [`Progress`] callback. Operations ask for work; the sequencer and the
//! workers do it.

mod access;
mod actions;
mod backlog;
mod broker;
pub mod claims;
mod config;
mod deployment;
mod destinations;
pub mod doctor;
mod erase;
mod error;
mod events;
mod explain;
mod freshness;
mod init;
mod limit;
mod mapping;
mod mark;
mod pause;
mod programs;
mod progress;
mod quarantine;
mod resync;
mod rewind;
mod runs;
mod settings;
pub mod shell;
pub mod shown;
mod status;
pub mod support;
mod tenancies;
mod tenant;
mod tenants;
mod under_way;
mod verified;
mod wait;

pub use access::{
    AccessCheckReport, AccessEntry, AccessReport, Finding, GrantReport, GrantRequest, Managed, Password, RevokeReport,
    access_check, access_list, grant_access, revoke_access,
};
pub use actions::{ActionEntry, ActionRecord, actions, begin_action, end_action};
pub use broker::{Broker, Queue, queue_names, queues_taken_out};
pub use config::wrong_settings;
pub use deployment::Deployment;
pub use destinations::{
    AddDestinationReport, AddDestinationRequest, ChangeDestinationReport, ChangeDestinationRequest, DestinationDetail,
    DestinationEntry, DestinationFinding, DestinationState, DestinationTestReport, DestinationsReport, NotResealed,
    PlannedColumn, PlannedTable, RefillReport, RefillRequest, RemoveDestinationReport, RemoveDestinationRequest,
    RotateKeyReport, TenantMappingEntry, add_destination, change_destination, list_destinations, refill,
    remove_destination, rotate_key, show_destination, test_destination,
};
pub use erase::{EraseOutcome, EraseReport, EraseRequest, Receipt, TenantReceipt, erase};
pub use error::{OperationError, Unfinished};
pub use events::{
    EventDelivery, EventEntry, EventFilter, EventReport, EventRetryReport, EventTestReport, EventsReport, LatestEvents,
    SinkDeliveries, latest_events, list_events, resume_events, retry_events, show_event, sink_deliveries, test_events,
};
pub use explain::{
    BreakerState, Change, ChangedRow, Changes, DestinationFacts, DestinationStory, Difference, ExplainReport,
    ExplainRequest, Fill, FillState, HeldRow, Holds, Judgement, KeyProblem, Place, Refused, SourceRow, SourceState,
    TenancyFacts, TenancyStory, Verdict, Waiting, explain, latest_changes,
};
pub use freshness::{Freshness, SessionCount, freshness, sessions};
pub use init::{FileConflict, InitReport, InitRequest, SuggestedMapping, TenantsReport, UnmappedTable, init};
pub use lockstep_schema::events::{COUNTED as EVENTS_COUNTED, KINDS as EVENT_KINDS, SinkState};
pub use lockstep_schema::instances::Instance;
pub use lockstep_schema::tasks::TaskStatus;
pub use mapping::{
    DefinitionFinding, LeftOutColumn, MappingCheckReport, MappingColumn, MappingDetail, MappingDraft, MappingEntry,
    MappingInitRequest, MappingState, MappingStatement, MappingStatements, MappingTrigger, MappingsReport,
    OwnDatabases, check_mappings, init_mapping, mapping_detail, mapping_entries, mappings, quarantined_of,
    show_mapping,
};
pub use mark::{MarkedRow, mark};
pub use pause::{Part, PauseReport, PausedPart, PausedReport, pause, paused, resume};
pub use programs::{ProgramTrouble, REWIND, TroubleKind};
pub use progress::Progress;
pub use quarantine::{
    QuarantineEntry, QuarantineGroup, QuarantineGroups, QuarantinePage, QuarantinePosition, QuarantineReport,
    QuarantineScope, QuarantinedRows, drop_quarantined, quarantine_count, quarantine_groups, quarantine_of,
    quarantined, quarantined_page, retry_quarantined,
};
pub use resync::mappings::fill_anew;
pub use resync::{ExportReport, ResyncRequest, resync};
pub use rewind::{Ahead, REWIND_MARGIN, RewindReport, rewind, went_back};
pub use runs::{
    FindingOf, OwnReceipt, RUNS_A_PAGE, VerificationRun, all_findings, receipt, receipts, verification_run,
    verification_runs,
};
pub use settings::{Setting, SettingsReport, set_setting, settings};
pub use status::{MappingStatus, Status, TenantsStatus, status, status_with};
pub use tenant::{ProgressState, TenantMappingProgress, TenantReport, tenant};
pub use tenants::{TENANTS_A_PAGE, TenantEntry, TenantSearch, TenantState, TenantsPage, find_tenants};
pub use under_way::{ResyncEntry, resyncs};
pub use verified::{
    Certificate, CertificateError, OpenFinding, Proven, SigningKey, VerifiedReport, VerifyingKey, verified,
};
pub use wait::{DestinationLag, Lag, LeftOut, WaitFor, WaitOutcome, WaitReport, wait};

/// The platform's own destination, as Lockstep's own tables name it.
pub use lockstep_core::destination_id::CLICKHOUSE as DESTINATION;
