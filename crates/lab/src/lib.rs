//! What is run and watched rather than asserted: the demo, the benchmarks, the crash matrix and chaos.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "these programs speak to people through their output")]

pub mod bench;
pub mod chaos;
pub mod demo;

mod console;
mod lag;
mod progress;
mod tenants;
