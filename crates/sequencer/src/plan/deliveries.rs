//! What becomes of an event that was sent to a webhook, as the Standard Webhooks specification (1.0.0, "Operational considerations")
//! has it: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.

use std::time::{Duration, SystemTime};

/// From one attempt to the next, up to 31.6 hours after the first. An event whose last attempt fails is given up.
const WAITS_S: [u64; 7] = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600];
/// So much longer a wait may be, so that what failed together is not tried together.
pub(crate) const JITTER: f64 = 0.2;
/// A receiver that asks for more is asked again after this all the same.
const MAX_REST: Duration = Duration::from_secs(3600);

/// What an answer means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// The receiver has it.
    Taken,
    /// The receiver wants to be told nothing any more.
    Gone,
    /// It is sent again; for so long the receiver wants to be told nothing.
    Refused(Option<Duration>),
}

/// What a status means, with the answer's `Retry-After`: seconds, or a date. Redirects are refusals.
pub(crate) fn judge(status: u16, retry_after: Option<&str>, now: SystemTime) -> Answer {
    match status {
        200..=299 => Answer::Taken,
        410 => Answer::Gone,
        _ => Answer::Refused(retry_after.and_then(|text| rest(text.trim(), now))),
    }
}

fn rest(retry_after: &str, now: SystemTime) -> Option<Duration> {
    let asked = match retry_after.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(retry_after).ok()?.duration_since(now).ok()?,
    };
    Some(asked.min(MAX_REST))
}

/// How long after so many failed attempts it is tried again, of which `jitter` is drawn between 0 and [`JITTER`]. Returns `None` when
/// it is given up.
pub(crate) fn next_wait(failed: usize, jitter: f64) -> Option<Duration> {
    let wait = WAITS_S.get(failed.checked_sub(1)?)?;
    Some(Duration::from_secs(*wait).mul_f64(1.0 + jitter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_success_is_taken_and_only_410_ends_it() {
        let answer = |status| judge(status, None, SystemTime::UNIX_EPOCH);
        for status in [200, 201, 204, 299] {
            assert_eq!(answer(status), Answer::Taken);
        }
        for status in [100, 301, 302, 307, 400, 401, 404, 429, 500, 503] {
            assert_eq!(answer(status), Answer::Refused(None), "{status}");
        }
        assert_eq!(answer(410), Answer::Gone);
    }

    #[test]
    fn a_receiver_may_ask_for_a_rest_of_an_hour_at_most() {
        let now = httpdate::parse_http_date("Fri, 27 Nov 2026 10:00:00 GMT").unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999", Some(3600)),
            ("Fri, 27 Nov 2026 10:01:00 GMT", Some(60)),
            ("Fri, 27 Nov 2099 10:01:00 GMT", Some(3600)),
            ("Fri, 27 Nov 2026 09:59:00 GMT", None),
            ("-5", None),
            ("soon", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(judge(503, Some(text), now), Answer::Refused(seconds.map(Duration::from_secs)), "{text}");
        }
        assert_eq!(judge(200, Some("120"), now), Answer::Taken);
    }

    #[test]
    fn waits_grow_and_end_after_a_day_and_a_third() {
        let waits: Vec<_> = (1..=7).map(|failed| next_wait(failed, 0.0).unwrap()).collect();
        assert!(waits.is_sorted() && waits[0] == Duration::from_secs(5));
        assert_eq!(waits.iter().sum::<Duration>().as_secs(), 31 * 3600 + 35 * 60 + 5);
        assert_eq!((next_wait(0, 0.0), next_wait(8, 0.0)), (None, None));
        assert_eq!(next_wait(1, JITTER), Some(Duration::from_secs(6)));
    }
}
