//! What is run and watched rather than asserted: the demo, the benchmarks, the crash matrix and chaos. And what is made from all
//! four programs' command lines: the [`pages`].

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "these programs speak to people through their output")]

pub mod bench;
pub mod chaos;
pub mod demo;
pub mod pages;

mod console;
mod lag;
mod progress;
mod tenants;
