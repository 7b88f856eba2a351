//! VER-1: the verifier never calls equal what differs, and never calls different what is merely in flight.
//!
//! Both sides are filled here by hand, so that each test says exactly what is on which side.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod against;
mod broken_stream;
mod budget;
mod classes;
mod differences;
mod equal;
mod everything;
mod fixture;
mod in_flight;
mod program;
mod tenancies;
mod unreadable;
mod ver_tenants;
