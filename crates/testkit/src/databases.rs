//! A database, names and services for each test, so that all tests run side by side.

mod broker;
mod clickhouse;
mod eventually;
mod postgres;
mod private;
mod services;

pub use broker::{Memory, PrivateBroker};
pub use clickhouse::{CLUSTER, PrivateClickHouse};
pub use eventually::eventually;
pub use postgres::{SOURCE_SCHEMA, TestDatabase, connect};
pub use private::{PrivatePostgres, Tools, client_program};
pub use services::{Services, checkout, services};

/// Sixteen characters of `0-9a-f`, new at each call: ends ClickHouse database names and queue prefixes.
pub fn unique_suffix() -> String {
    let mut text = uuid::Uuid::new_v4().simple().to_string();
    text.truncate(16);
    text
}

/// A port that was free a moment ago; taking it is up to the server.
async fn free_port() -> std::io::Result<u16> {
    Ok(tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}
