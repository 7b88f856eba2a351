//! What a program's exit code means.

/// Clean: done, in step, or equal.
pub const OK: u8 = 0;
/// The verifier found a difference, `lockstep explain` a row that is wrong; any other program failed.
pub const DIFFERENT: u8 = 1;
/// The verifier found nothing but changes that are still on their way; a row that is explained is.
pub const IN_FLIGHT: u8 = 2;
/// The verifier could not finish; a row that is to be explained could not be looked at everywhere.
pub const UNFINISHED: u8 = 3;
/// Settings are wrong or missing; nothing was started (`EX_CONFIG` of `sysexits.h`).
pub const CONFIGURATION: u8 = 78;
