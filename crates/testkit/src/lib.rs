//! Fixtures for tests and for the lab: databases of their own, realistic data, live edits, whole installations, and
//! connections that fail on command.

pub mod attached;
pub mod collector;
pub mod data;
pub mod databases;
pub mod edits;
pub mod fills;
pub mod fleet;
pub mod in_process;
pub mod installation;
pub mod passes;
pub mod proxy;
pub mod tenant_database;
