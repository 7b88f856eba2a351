//! What every Lockstep program shares: the nouns of the domain, settings, telemetry, health, shutdown and retry.
//!
//! Deliberately absent: SQL, the broker, destinations. This crate can be read without knowing any of them.

pub mod address;
pub mod authorities;
pub mod certificates;
mod core_dumps;
pub mod destination_id;
pub mod exit;
pub mod failpoint;
pub mod freshness;
pub mod health;
pub mod http;
pub mod instance;
pub mod mapping_name;
pub mod output;
pub mod private_file;
pub mod remedy;
pub mod retry;
pub mod secret;
pub mod secret_keys;
pub mod sequence;
pub mod settings;
pub mod shutdown;
pub mod small_file;
pub mod source_identity;
pub mod telemetry;
pub mod tenancy;
pub mod terminal;
pub mod traffic;
pub mod webhook_secrets;

pub use destination_id::DestinationId;
pub use mapping_name::MappingName;
pub use sequence::SequenceId;
pub use source_identity::SourceIdentity;
pub use tenancy::{Location, TenancyId};
