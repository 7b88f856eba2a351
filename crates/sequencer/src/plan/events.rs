//! Which events are news: what is now, beside what was open when it was looked last.

use std::collections::BTreeSet;

use serde_json::Value;

/// What an event is about: its kind, and a subject of that kind. Of those that are open each is there once.
pub(crate) type Topic = (String, String);

/// Something that is so now.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Condition {
    pub(crate) topic: Topic,
    /// It lasts, and is resolved some time; else it happened once.
    pub(crate) lasts: bool,
    /// Ids, names, counts, codes and times.
    pub(crate) body: Value,
}

/// What is to be written.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct News {
    /// What has begun, or happened.
    pub(crate) begun: Vec<Condition>,
    /// What is over.
    pub(crate) over: Vec<Topic>,
}

/// Of what is now, what was not open before; and of what was open, what is not so any more. Of a kind of which there is more than was
/// looked at (`limit`), nothing is taken for over.
pub(crate) fn news(open: &BTreeSet<Topic>, now: Vec<Condition>, limit: usize) -> News {
    let lasting: BTreeSet<Topic> =
        now.iter().filter(|condition| condition.lasts).map(|condition| condition.topic.clone()).collect();
    let is_cut_off = |kind: &str| lasting.iter().filter(|(of, _)| of == kind).count() >= limit;
    let over = open.difference(&lasting).filter(|(kind, _)| !is_cut_off(kind)).cloned().collect();
    News { begun: now.into_iter().filter(|condition| !open.contains(&condition.topic)).collect(), over }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(kind: &str, subject: &str) -> Topic {
        (kind.to_owned(), subject.to_owned())
    }

    fn condition(kind: &str, subject: &str, lasts: bool) -> Condition {
        Condition { topic: topic(kind, subject), lasts, body: Value::Null }
    }

    #[test]
    fn what_lasts_is_begun_once_and_over_once() {
        let down = condition("destination_down", "a", true);
        let first = news(&BTreeSet::new(), vec![down.clone()], 9);
        assert_eq!(first, News { begun: vec![down.clone()], over: Vec::new() });
        let open = BTreeSet::from([down.topic.clone()]);
        assert_eq!(news(&open, vec![down.clone()], 9), News::default(), "it is told already");
        assert_eq!(news(&open, Vec::new(), 9), News { begun: Vec::new(), over: vec![down.topic] });
        assert_eq!(news(&BTreeSet::new(), Vec::new(), 9), News::default());
    }

    #[test]
    fn what_happened_once_is_never_over() {
        let erased = condition("erasure_done", "7", false);
        assert_eq!(news(&BTreeSet::new(), vec![erased.clone()], 9).begun, [erased]);
        // Were it open by mistake, it would be closed: nothing that happens once lasts.
        let open = BTreeSet::from([topic("erasure_done", "7")]);
        assert_eq!(news(&open, vec![condition("erasure_done", "7", false)], 9).over, [topic("erasure_done", "7")]);
    }

    #[test]
    fn nothing_is_over_that_was_not_looked_at() {
        let open = BTreeSet::from([topic("quarantine", "c"), topic("paused", "x")]);
        let now = vec![condition("quarantine", "a", true), condition("quarantine", "b", true)];
        assert_eq!(news(&open, now, 2).over, [topic("paused", "x")]);
    }
}
