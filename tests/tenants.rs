//! Tenants' own Postgres databases (DEST-1): each holds exactly its own rows, always current, and is nobody else's trouble.
//!
//! Every test has databases of its own behind proxies, real programs and the oracle, which knows from the source tables alone
//! what each table must hold.

mod access;
mod changes;
mod edits;
mod fills;
mod hostile_server;
mod lifecycle;
mod own_server;
mod refills;
mod refused;
mod scene;
mod troubles;
mod workers;
