//! The console: pages about a deployment for operators, and a page for one tenant, reached by a signed link.
//!
//! Start at [`serve`]. One sampler (`sampler`) asks the deployment every two seconds while somebody watches; all viewers share
//! what it has seen, and the browser is sent the regions that have changed (`events`). Other pages ask when they are opened. What is
//! asked, and what is done, are functions of `lockstep-operations`: this crate holds no SQL. Sessions are read-only in
//! Postgres itself; the few that carry out an action are opened for it, where actions are allowed at all.

mod access;
mod actions;
mod answer;
mod assets;
mod attempts;
mod error;
mod events;
mod extract;
pub mod figures;
mod history;
mod link;
mod options;
mod page;
mod password;
mod pool;
mod sample;
mod sampler;
mod server;
mod sign_in;
mod state;
mod tokens;
mod top;
mod traffic;
mod trusted;
mod verdict;
mod views;

pub use error::ConsoleError;
pub use link::{LinkArgs, TenantLink};
pub use options::{ConsoleArgs, DEFAULT_LISTEN, Options};
pub use password::PasswordFile;
pub use sampler::Doctor;
pub use server::{Server, bind};
pub use top::{Top, TopNumber, TopReport};
pub use verdict::{Level, Trouble, Verdict};
pub use views::overview::Stage;
