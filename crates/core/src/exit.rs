//! What a program's exit code means.

/// Clean: done, in step, or equal.
pub const OK: u8 = 0;
/// The verifier found a difference; any other program failed.
pub const DIFFERENT: u8 = 1;
/// The verifier found nothing but changes that are still on their way.
pub const IN_FLIGHT: u8 = 2;
/// The verifier could not finish.
pub const UNFINISHED: u8 = 3;
/// Settings are wrong or missing; nothing was started (`EX_CONFIG` of `sysexits.h`).
pub const CONFIGURATION: u8 = 78;
