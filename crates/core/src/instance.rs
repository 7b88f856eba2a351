//! Which process this is: heartbeats, traces and sessions in Postgres name it alike.

use std::sync::LazyLock;

use uuid::Uuid;

static ID: LazyLock<Uuid> = LazyLock::new(Uuid::new_v4);

/// The id of this process, made when it is first asked for.
pub fn id() -> Uuid {
    *ID
}

/// Its first eight digits, for names that people read.
pub fn short() -> String {
    id().simple().to_string()[..8].to_owned()
}
