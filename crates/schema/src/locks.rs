//! Advisory locks of the source database that more than one program names.

/// Puts passes in order (SEQ-1): every transaction that numbers changes holds it, as a transaction-level lock, from before
/// its first number to its commit. The bytes of `lockstep`.
pub const ORDERING_LOCK: i64 = i64::from_be_bytes(*b"lockstep");
/// Held by the session of the sequencer that leads (SEQ-2). The bytes of `lockseqr`.
pub const LEADER_LOCK: i64 = i64::from_be_bytes(*b"lockseqr");
