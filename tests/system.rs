//! Whole-system tests: one binary, one module for each promise.

mod deploy;
