//! The command line.

use lockstep_core::settings::{Needs, SettingsArgs};

/// Stamps changes in the source database and announces them. One leads; more of them stand by.
#[derive(clap::Parser, Debug)]
#[command(name = "lockstep-sequencer", version)]
pub struct Arguments {
    /// Settings that all programs share.
    #[command(flatten)]
    pub settings: SettingsArgs,
}

/// What the sequencer cannot do without. It writes no rows to ClickHouse, but asks how far they have come (SRC-1).
pub const NEEDS: Needs = Needs { source: true, amqp: true, clickhouse: true };
