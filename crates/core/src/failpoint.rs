//! Failpoints: named places at which a test build fails on command.
//!
//! Without the feature `failpoints`, which no release has, [`failpoint!`](crate::failpoint!) is nothing at all. With it a
//! process does what the variable `FAILPOINTS` said when it started, in the language of the crate `fail`:
//! `worker::insert::before=1*return(abort)` ends the process the first time it comes there. What can be returned:
//!
//! | action  | the process                                                                         |
//! |---------|-------------------------------------------------------------------------------------|
//! | `abort` | ends at once, as by `kill -9`                                                        |
//! | `error` | gets an error that this step can really have, and goes the way that follows from it |
//! | `hang`  | waits there for ever; only a time limit around it, or a signal, helps                |

/// A place that can be told to fail: `failpoint!("worker::insert::before", return Err(…))`. The second part is what
/// `error` does; it is not compiled where failpoints are not.
#[cfg(feature = "failpoints")]
#[macro_export]
macro_rules! failpoint {
    ($name:literal, $fails:expr) => {
        if $crate::failpoint::is_to_fail($name).await {
            $fails
        }
    };
}

/// A place that can be told to fail, in test builds. This is none.
#[cfg(not(feature = "failpoints"))]
#[macro_export]
macro_rules! failpoint {
    ($name:literal, $fails:expr) => {};
}

/// What a test build's log says when it comes to its first place, whatever it was told. A release never says it.
pub const CAN_FAIL: &str = "a test build: failpoints can be reached";

/// What a log line says of a place that does as it was told. The crash matrix looks for it.
pub const REACHED: &str = "a failpoint is reached";

/// Whether the place has to fail with an error. Does not return where it has to abort or to hang.
///
/// # Panics
/// When `FAILPOINTS` cannot be read or names an action that there is not.
#[cfg(feature = "failpoints")]
pub async fn is_to_fail(name: &'static str) -> bool {
    arm();
    let Some(action) = action(name) else { return false };
    tracing::warn!(point = name, action, "{REACHED}");
    match action.as_str() {
        "abort" => std::process::abort(),
        "error" => true,
        "hang" => std::future::pending().await,
        unknown => panic!("FAILPOINTS: {name} cannot {unknown}: abort, error or hang"),
    }
}

#[cfg(feature = "failpoints")]
fn action(name: &'static str) -> Option<String> {
    fail::fail_point!(name, |action| Some(action.unwrap_or_default()));
    None
}

/// Reads `FAILPOINTS`, once.
#[cfg(feature = "failpoints")]
fn arm() {
    static ARMED: std::sync::Once = std::sync::Once::new();
    // Dropped, the scenario would disarm all points.
    ARMED.call_once(|| {
        std::mem::forget(fail::FailScenario::setup());
        tracing::warn!("{CAN_FAIL}");
    });
}

#[cfg(test)]
#[cfg(feature = "failpoints")]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn step() -> Result<u32, &'static str> {
        failpoint!("core::test", return Err("as told"));
        Ok(7)
    }

    #[tokio::test]
    async fn a_point_fails_as_often_as_it_was_told() {
        arm();
        assert_eq!(step().await, Ok(7));
        fail::cfg("core::test", "1*off->1*return(error)").unwrap();
        assert_eq!([step().await, step().await, step().await], [Ok(7), Err("as told"), Ok(7)]);
        fail::cfg("core::test", "1*return(hang)").unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(20), step()).await.is_err(), "it does not hang");
        assert_eq!(step().await, Ok(7));
    }
}
