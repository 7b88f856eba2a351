//! Whole-system tests: one binary, one module for each promise.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod attached;
mod cap_1;
mod cap_2;
mod cap_3;
mod del_1;
mod deploy;
mod error_codes;
mod main_job;
mod moved_tenancy;
mod noticed;
mod stage;
mod thin_line;
