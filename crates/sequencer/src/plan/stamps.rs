//! When passes gave out their numbers, for announcements to say.

use std::collections::VecDeque;

use lockstep_core::SequenceId;
use lockstep_core::freshness::ChangeTimes;
use lockstep_core::telemetry::Origin;

/// Passes that are remembered one by one, while nothing can be announced.
pub(crate) const MOST: u16 = 4096;

/// A pass that gave out numbers.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Stamp {
    /// The last of them.
    pub(crate) through: SequenceId,
    pub(crate) times: ChangeTimes,
    /// The span of the pass.
    pub(crate) origin: Option<Origin>,
}

/// Passes in their order.
#[derive(Default, Debug)]
pub(crate) struct Stamps(VecDeque<Stamp>);

impl Stamps {
    /// A pass has given out numbers.
    pub(crate) fn push(&mut self, stamp: Stamp) {
        if self.0.len() >= usize::from(MOST) {
            // Two become one, with the times of the first: a change may look later than it is, never fresher.
            let pairs: Vec<_> = self.0.drain(..).collect();
            let both = |pair: &[Stamp]| Stamp { through: pair[pair.len() - 1].through, ..pair[0].clone() };
            self.0.extend(pairs.chunks(2).map(both));
        }
        self.0.push_back(stamp);
    }

    /// Passes, in order, of which those that are known already are passed over: a former leader made them.
    pub(crate) fn add_older(&mut self, older: Vec<Stamp>) {
        let first = self.0.front().map(|stamp| stamp.through);
        let unknown = older.into_iter().filter(|stamp| first.is_none_or(|first| stamp.through < first));
        unknown.rev().take(MOST.into()).for_each(|stamp| self.0.push_front(stamp));
    }

    /// The times of the first numbers above this one, unknown ones where no pass with such numbers is known. What is before
    /// is forgotten.
    pub(crate) fn first_above(&mut self, announced: SequenceId) -> ChangeTimes {
        while self.0.front().is_some_and(|stamp| stamp.through <= announced) {
            self.0.pop_front();
        }
        self.0.front().map(|stamp| stamp.times).unwrap_or_default()
    }

    /// The span of the first pass that is remembered.
    pub(crate) fn first_origin(&self) -> Option<Origin> {
        self.0.front()?.origin.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(through: i64) -> Stamp {
        let times = ChangeTimes { stamped_at_micros: through * 10, committed_at_micros: 0 };
        Stamp { through: SequenceId::new(through), times, origin: None }
    }

    fn first_above(stamps: &mut Stamps, announced: i64) -> i64 {
        stamps.first_above(SequenceId::new(announced)).stamped_at_micros
    }

    #[test]
    fn a_number_has_the_time_of_its_pass_a_former_leaders_too() {
        let mut stamps = Stamps::default();
        assert_eq!(first_above(&mut stamps, 0), 0);
        stamps.push(stamp(7));
        stamps.add_older([2, 5, 7].map(stamp).to_vec());
        stamps.push(stamp(9));
        assert_eq!([0, 2, 3, 5, 7].map(|announced| first_above(&mut stamps, announced)), [20, 50, 50, 70, 90]);
        assert_eq!(first_above(&mut stamps, 9), 0);
    }

    #[test]
    fn of_too_many_the_earlier_of_two_counts() {
        let mut stamps = Stamps::default();
        let most = i64::from(MOST);
        (1..=most + 1).for_each(|through| stamps.push(stamp(through)));
        assert_eq!(stamps.0.len(), usize::from(MOST) / 2 + 1);
        assert_eq!([0, 1, 2, most].map(|announced| first_above(&mut stamps, announced)), [10, 10, 30, (most + 1) * 10]);
    }
}
