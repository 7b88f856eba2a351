//! Waiting for a condition. The only place in the tests that pauses.

use std::time::{Duration, Instant};

use anyhow::bail;

/// Short enough not to blur a lag, long enough not to load the services that are waited for.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Returns as soon as `condition` answers true. An error of the condition counts as "not yet", since services that
/// restart are part of what is waited for; the last one is told when the deadline passes.
///
/// # Errors
/// When `deadline` passes first: what was awaited, for how long, and the condition's last error. A condition that
/// hangs is cut off by the deadline too.
pub async fn eventually(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut last = String::from("it was not so");
    loop {
        let left = deadline.saturating_sub(started.elapsed());
        match tokio::time::timeout(left, condition()).await {
            Ok(Ok(true)) => return Ok(()),
            Ok(Ok(false)) => "it was not so".clone_into(&mut last),
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_) => last.push_str(", then asking took too long"),
        }
        if started.elapsed() >= deadline {
            bail!("waited {:.1} s for: {what}; at the last look: {last}", started.elapsed().as_secs_f64());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        eventually("the third look", Duration::from_secs(5), async || {
            looks += 1;
            if looks == 1 { bail!("not yet reachable") } else { Ok(looks == 3) }
        })
        .await
        .unwrap();
        assert_eq!(looks, 3);
    }

    #[tokio::test]
    async fn a_deadline_that_passes_says_what_was_awaited_and_why_it_was_not_so() {
        let error = eventually("rain", Duration::from_millis(20), async || bail!("blue sky")).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("for: rain") && text.contains("blue sky"), "{text}");
    }

    #[tokio::test]
    async fn a_condition_that_hangs_is_cut_off() {
        let hanging = async || std::future::pending::<anyhow::Result<bool>>().await;
        assert!(eventually("an answer", Duration::from_millis(20), hanging).await.is_err());
    }
}
