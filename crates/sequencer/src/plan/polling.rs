//! How long to wait before looking again: at once where more was left, 2 to 20 ms after something was found (twice as long as
//! finding it took), 50 ms after many changes, up to 20 ms when idle. A pass costs the source much the same for one change as for hundreds: under load they are
//! gathered, so that passes leave the application its processors.

use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(2);
pub(crate) const LONGEST: Duration = Duration::from_millis(20);
/// With some ten thousand changes a second.
const AFTER_MANY: Duration = Duration::from_millis(50);
/// So many changes in one pass are many.
const MANY: i64 = 200;

/// Where an idle look takes long, the waits are this many times as long, so that looking does not become the work.
const TIMES_A_LOOK: u32 = 4;
/// The same after a pass: it keeps one processor of the source busy for a third of the time at most.
const TIMES_A_PASS: u32 = 2;
/// The longest of those waits.
const LONGEST_AFTER_A_LONG_LOOK: Duration = Duration::from_secs(1);

/// What a look found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// More than was done at once.
    More,
    /// Something, and it was done.
    Changes { changes: i64 },
    /// Nothing that could be done.
    Nothing,
}

/// The waits between looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Polling {
    idle: Duration,
}

impl Default for Polling {
    fn default() -> Self {
        Self { idle: SHORTEST }
    }
}

impl Polling {
    /// The wait after a look that `took` so long.
    pub(crate) fn next_wait(&mut self, found: Found, took: Duration) -> Duration {
        match found {
            Found::More => {
                self.idle = SHORTEST;
                Duration::ZERO
            }
            Found::Changes { changes } => {
                self.idle = SHORTEST;
                if changes < MANY { (took * TIMES_A_PASS).clamp(SHORTEST, LONGEST) } else { AFTER_MANY }
            }
            Found::Nothing => {
                let wait = self.idle.max((took * TIMES_A_LOOK).min(LONGEST_AFTER_A_LONG_LOOK));
                self.idle = (self.idle * 2).min(LONGEST);
                wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits_ms(polling: &mut Polling, looks: u32, took_ms: u64) -> Vec<u128> {
        let took = Duration::from_millis(took_ms);
        (0..looks).map(|_| polling.next_wait(Found::Nothing, took).as_millis()).collect()
    }

    #[test]
    fn idle_waits_double_from_2_to_20_ms_and_finds_start_them_anew() {
        let mut polling = Polling::default();
        assert_eq!(waits_ms(&mut polling, 6, 0), [2, 4, 8, 16, 20, 20]);
        assert_eq!(polling.next_wait(Found::Changes { changes: 1 }, Duration::ZERO), SHORTEST);
        assert_eq!(waits_ms(&mut polling, 2, 0), [2, 4]);
        assert_eq!(polling.next_wait(Found::More, Duration::ZERO), Duration::ZERO);
        assert_eq!(waits_ms(&mut polling, 1, 0), [2]);
    }

    #[test]
    fn under_load_passes_take_a_third_of_the_time_at_most_until_they_are_20_ms_apart_or_50() {
        let wait_ms = |changes, took_ms| {
            Polling::default().next_wait(Found::Changes { changes }, Duration::from_millis(took_ms)).as_millis()
        };
        assert_eq!([wait_ms(1, 0), wait_ms(9, 1), wait_ms(99, 4), wait_ms(199, 500)], [2, 2, 8, 20]);
        assert_eq!(wait_ms(200, 4), 50);
    }

    #[test]
    fn a_look_that_takes_long_is_not_repeated_at_once() {
        assert_eq!(waits_ms(&mut Polling::default(), 2, 20), [80, 80]);
        assert_eq!(waits_ms(&mut Polling::default(), 1, 10_000), [1_000]);
    }
}
